import type { ServerSource } from '../../kube/api/server-source.ts';
import type { AgentContext } from '../context.ts';
import type { OpenedSource } from './opened-source.ts';
import { serverProblems } from './server-problems.ts';

/** What each server that is followed has in the agent: metrics, problems that name it, its state on disk. */
export function followServer(
  { clock, metrics, lifecycle }: AgentContext,
  server: string,
  source: Pick<ServerSource, 'counts' | 'saveState' | 'stateProblems'>,
): Pick<OpenedSource, 'counts' | 'problems' | 'stateProblems'> {
  lifecycle.onShutdown('last known objects', () => source.saveState());
  const counts = () =>
    source.counts().map(({ plural, counts: each }) => ({ resource: plural, ...each }));
  metrics.observeKube(counts);
  const stateProblems = () => source.stateProblems();
  const problems = () => [...serverProblems(server, counts(), clock.elapsed()), ...stateProblems()];
  return { counts, problems, stateProblems };
}
