/** What `weft doctor` prints for people. */
import { plain, wrapped } from '../../util/text-layout.ts';
import { type Finding, type Findings, isBad, type Level } from '../status/finding.ts';

export interface FindingsTextOptions {
  readonly hasColors: boolean;
  /** Also those that are well. */
  readonly isWhole: boolean;
  /** Why only the node itself was looked at; undefined where an agent was asked. */
  readonly withoutAgent?: string | undefined;
}

const LEVELS: readonly Level[] = ['failing', 'warning', 'unknown', 'ok'];
const COLORS: Readonly<Record<Level, number>> = { failing: 31, warning: 33, unknown: 36, ok: 32 };

/** What is worst comes first; the last line counts. */
export function findingsText({ findings, tookMs }: Findings, options: FindingsTextOptions): string {
  const { isWhole, withoutAgent } = options;
  const shown = LEVELS.flatMap((level) => findings.filter((each) => each.level === level));
  const lines = [
    ...(withoutAgent === undefined ? [] : [...withoutAgentLines(withoutAgent), '']),
    ...shown
      .filter(({ level }) => isWhole || level !== 'ok')
      .flatMap((each) => findingLines(each, options)),
    `${countsText(findings)} (${tookMs} ms)`,
  ];
  return `${lines.join('\n')}\n`;
}

/** Several lines: what was seen, why it matters, and the cure. */
function findingLines(
  finding: Finding,
  { hasColors }: Pick<FindingsTextOptions, 'hasColors'>,
): readonly string[] {
  const { check, level, seen, why, cure } = finding;
  const head = `${level.padEnd(8)}${check}: `;
  const [first = '', ...more] = wrapped(plain(seen), { first: head, next: INDENT });
  const painted = hasColors
    ? `\u001b[${COLORS[level]}m${level}\u001b[0m${first.slice(level.length)}`
    : first;
  if (level === 'ok') return [painted, ...more];
  return [
    ...[painted, ...more],
    ...wrapped(plain(why), { first: `${INDENT}why:  `, next: `${INDENT}      ` }),
    ...(isBad(finding)
      ? wrapped(plain(cure), { first: `${INDENT}cure: `, next: `${INDENT}      ` })
      : []),
  ];
}

const INDENT = '        ';

/** `1 failing, 2 warnings, 20 ok` */
export function countsText(findings: readonly Finding[]): string {
  const count = (level: Level) => findings.filter((finding) => finding.level === level).length;
  const warnings = count('warning');
  const parts = [
    [count('failing'), 'failing'],
    [warnings, warnings === 1 ? 'warning' : 'warnings'],
    [count('unknown'), 'unknown'],
  ] as const;
  const bad = parts.filter(([number]) => number > 0).map(([number, word]) => `${number} ${word}`);
  return [...bad, `${count('ok')} ok`].join(', ');
}

function withoutAgentLines(reason: string): readonly string[] {
  const text = `Only the node itself is looked at, not what the agent knows: ${reason}`;
  return wrapped(plain(text), { first: '', next: '' });
}
