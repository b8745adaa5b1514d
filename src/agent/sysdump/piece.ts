import type { Clock } from '../../util/clock.ts';
import { errorCode, toError } from '../../util/errors.ts';
import { maskedText } from './masked.ts';

/** One file of a bundle. */
export interface Piece {
  /** Its path in the bundle. */
  readonly name: string;
  /**
   * Its content; undefined where there is no such thing on this node. What it fails with is noted in
   * the bundle. `signal` is aborted when nobody waits any more.
   */
  readonly read: (signal: AbortSignal) => Promise<string | undefined> | string | undefined;
}

export interface BundleFile {
  readonly name: string;
  readonly text: string;
}

/** What became of a piece, as the bundle's index has it. */
export interface PieceOutcome {
  readonly name: string;
  readonly outcome: 'read' | 'cut' | 'absent' | 'failed';
  /** In UTF-16 units, before it was cut. */
  readonly length: number;
  readonly tookMs: number;
  readonly reason?: string;
}

export interface Bounds {
  /** Of one piece. */
  readonly mostMs: number;
  readonly mostCharacters: number;
  /** Of all of them: what comes later is left out, with a note. */
  readonly mostMsInAll: number;
  readonly mostCharactersInAll: number;
}

export const BOUNDS: Bounds = {
  mostMs: 20_000,
  mostCharacters: 8_000_000,
  mostMsInAll: 180_000,
  mostCharactersInAll: 100_000_000,
};

const CUT = '\n… cut here: it is longer than a piece may be\n';

export interface Collected {
  readonly files: readonly BundleFile[];
  readonly outcomes: readonly PieceOutcome[];
}

/** Reads pieces one after the other, within bounds, with secrets masked; none of them ends the others. */
export async function collect(
  pieces: readonly Piece[],
  clock: Pick<Clock, 'elapsed' | 'schedule'>,
  bounds: Bounds = BOUNDS,
): Promise<Collected> {
  const files: BundleFile[] = [];
  const outcomes: PieceOutcome[] = [];
  const startedAtMs = clock.elapsed();
  let characters = 0;
  for (const { name, read } of pieces) {
    const pieceAtMs = clock.elapsed();
    const left = bounds.mostCharactersInAll - characters;
    const isLate = pieceAtMs - startedAtMs >= bounds.mostMsInAll;
    const note = (outcome: PieceOutcome['outcome'], length = 0, reason?: string) => {
      const tookMs = Math.round(clock.elapsed() - pieceAtMs);
      outcomes.push({ name, outcome, length, tookMs, ...(reason === undefined ? {} : { reason }) });
    };
    if (isLate || left <= 0) {
      note('failed', 0, isLate ? 'no time is left for it' : 'no room is left for it');
      continue;
    }
    try {
      const text = await inTime(read, clock, bounds.mostMs);
      if (text === undefined) {
        note('absent');
        continue;
      }
      const most = Math.min(bounds.mostCharacters, left);
      const isCut = text.length > most;
      const masked = maskedText(isCut ? text.slice(0, most) + CUT : text);
      files.push({ name, text: masked });
      characters += masked.length;
      note(isCut ? 'cut' : 'read', text.length);
    } catch (thrown) {
      const { message } = toError(thrown);
      note('failed', 0, maskedText([errorCode(thrown), message].filter(Boolean).join(': ')));
    }
  }
  return { files, outcomes };
}

async function inTime(
  read: Piece['read'],
  clock: Pick<Clock, 'schedule'>,
  mostMs: number,
): Promise<string | undefined> {
  const over = new AbortController();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const cancel = clock.schedule(mostMs, () => {
    over.abort();
    reject(new Error(`not read within ${mostMs} ms`));
  });
  try {
    return await Promise.race([read(over.signal), late]);
  } finally {
    cancel();
  }
}
