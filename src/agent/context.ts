import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import type { AgentConfig } from './config/agent-config.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { AgentMetrics } from './metrics.ts';

/** What every component of one agent process shares. */
export interface AgentContext {
  readonly config: AgentConfig;
  readonly log: Logger;
  readonly clock: Clock;
  readonly lifecycle: Lifecycle;
  readonly metrics: AgentMetrics;
}
