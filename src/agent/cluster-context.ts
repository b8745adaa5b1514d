import type { AgentContext } from './context.ts';
import type { OpenedSource } from './objects/opened-source.ts';

/** What is shared by components that follow what the cluster says. */
export interface ClusterContext extends AgentContext {
  /** One for all of them; started when all of them listen. */
  readonly objects: OpenedSource;
}
