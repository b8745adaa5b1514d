import type { Clock } from '../../util/clock.ts';
import { Turn } from '../../util/turns.ts';
import type { Finding, Findings } from '../status/finding.ts';
import type { Subject } from './check.ts';
import type { CheckedNode } from './checked-node.ts';

/** Looks at everything once, the event loop having its turn between two subjects. */
export async function lookAtNode(
  subjects: readonly Subject[],
  node: CheckedNode,
  clock: Pick<Clock, 'now' | 'elapsed'>,
): Promise<Findings> {
  const startedAt = clock.elapsed();
  const at = new Date(clock.now()).toISOString();
  const turn = new Turn();
  const findings: Finding[] = [];
  for (const subject of subjects) {
    findings.push(...(await subject.look(node)));
    await turn.next();
  }
  return { at, tookMs: Math.round(clock.elapsed() - startedAt), findings };
}
