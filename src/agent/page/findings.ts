import type { Finding } from '../status/finding.ts';
import type { AgentStatus } from '../status/values.ts';
import type { UiFinding } from './snapshot.ts';

/** What `weft doctor` finds, and what makes the agent not healthy besides. */
export function findingsOf(
  findings: readonly Finding[],
  { problems }: Pick<AgentStatus, 'problems'>,
): readonly UiFinding[] {
  const said = new Set(findings.map(({ seen }) => seen));
  const others = problems.filter((problem) => !said.has(problem));
  return [
    ...findings.map(({ check, level, seen, why, cure }) => ({
      key: check,
      level,
      seen,
      why,
      cure,
    })),
    ...others.map((seen, i): UiFinding => {
      return { key: `problem-${i + 1}`, level: 'failing', seen, why: '', cure: '' };
    }),
  ];
}
