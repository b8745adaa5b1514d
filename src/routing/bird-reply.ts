/** What BIRD answers on its control socket (its programmer's documentation, chapter "Command line interface"). */

export interface ReplyLine {
  /** Four digits: 0xxx done, 1xxx a table, 8xxx and 9xxx an error. */
  readonly code: number;
  readonly text: string;
}

const LINE = /^(\d{4})([ -])(.*)$/;

/**
 * The lines of a whole answer, undefined while its last line is missing. A line that begins with a blank
 * has the code of the one before.
 */
export function parseReply(text: string): readonly ReplyLine[] | undefined {
  const lines: ReplyLine[] = [];
  for (const line of text.split('\n').slice(0, -1)) {
    const [, digits, separator, rest = ''] = LINE.exec(line) ?? [];
    const code = digits === undefined ? lines.at(-1)?.code : Number(digits);
    if (code === undefined) continue;
    lines.push({ code, text: digits === undefined ? line.slice(1) : rest });
    if (separator === ' ') return lines;
  }
  return undefined;
}

/** Why BIRD refuses; undefined where it does not. */
export function refusalOf(lines: readonly ReplyLine[]): string | undefined {
  return lines.find(({ code }) => code >= 8000)?.text.trim();
}

/** A BGP protocol, as `show protocols all` tells. */
export interface BirdSession {
  readonly symbol: string;
  /** `Established`, `Idle`, `Active`, `Connect`, `OpenSent`, `OpenConfirm`; `down` when it is off. */
  readonly state: string;
  /** Why it is not established, in BIRD's words. */
  readonly lastError: string;
  readonly imported: number;
  readonly exported: number;
}

const PROTOCOL_LINE = 1002;
const DETAIL_LINE = 1006;

/** The BGP protocols of an answer. */
export function parseSessions(lines: readonly ReplyLine[]): readonly BirdSession[] {
  const sessions: BirdSession[] = [];
  let details: string[] = [];
  let head: string | undefined;
  const finish = () => {
    const session = head === undefined ? undefined : sessionOf(head, details);
    if (session !== undefined) sessions.push(session);
  };
  for (const { code, text } of lines) {
    if (code === PROTOCOL_LINE) {
      finish();
      [head, details] = [text, []];
    } else if (code === DETAIL_LINE) {
      details.push(text.trim());
    }
  }
  finish();
  return sessions;
}

function sessionOf(head: string, details: readonly string[]): BirdSession | undefined {
  const [symbol, kind] = head.split(/\s+/);
  if (symbol === undefined || kind !== 'BGP') return undefined;
  const detail = (name: string) => {
    const found = details.find((line) => line.startsWith(`${name}:`));
    return found?.slice(name.length + 1).trim();
  };
  const [, imported, exported] =
    /^(\d+) imported,.*?(\d+) exported/.exec(detail('Routes') ?? '') ?? [];
  return {
    symbol,
    state: detail('BGP state') ?? 'down',
    lastError: detail('Last error') ?? '',
    imported: Number(imported ?? 0),
    exported: Number(exported ?? 0),
  };
}
