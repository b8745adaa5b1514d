/** What a connectivity test prints. Pure. */
import { causeLines } from '../../agent/debug/explain/way-text.ts';
import { wrapped } from '../../util/text-layout.ts';
import { type CheckResult, checkText, type SkippedCheck } from './checks.ts';

const INDENTS = { first: '          ', next: '            ' };

export function resultText({ check, isGood, why, answer }: CheckResult): string {
  const word = isGood ? 'ok' : 'FAILED';
  const lines = wrapped(`${check.title}: ${checkText(check)}`, {
    first: `  ${word.padEnd(8)}`,
    next: INDENTS.next,
  });
  if (isGood) return `${lines.join('\n')}\n`;
  const causes = [...(answer?.live?.causes ?? []), ...(answer?.causes ?? [])];
  const told = causeLines(causes, INDENTS.first);
  const said = causes.some(({ seen }) => seen === why) ? [] : wrapped(`${why}.`, INDENTS);
  const steps =
    causes.length > 0
      ? []
      : (answer?.live?.steps ?? []).slice(-3).map((step) => `            ${step}`);
  return `${[...lines, ...said, ...told, ...steps].join('\n')}\n`;
}

export function skippedText({ title, why }: SkippedCheck): string {
  const lines = wrapped(`${title}: ${why}`, { first: '  not tried ', next: INDENTS.next });
  return `${lines.join('\n')}\n`;
}

export function summaryText(results: readonly CheckResult[]): string {
  const good = results.filter(({ isGood }) => isGood).length;
  if (results.length === 0) return 'Nothing was tried.\n';
  return good === results.length
    ? `All ${good} are as they should be.\n`
    : `${results.length - good} of ${results.length} FAILED.\n`;
}
