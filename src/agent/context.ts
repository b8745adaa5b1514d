import type { NodeEvents } from '../kernel/node-events.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger, LogLevel } from '../util/log.ts';
import type { AgentConfig } from './config/agent-config.ts';
import type { DescriptorBudget } from './descriptors.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { LiveConfig } from './live-config.ts';
import type { AgentMetrics } from './metrics/metrics.ts';
import type { PodMasquerade } from './pod-masquerade.ts';
import type { Problems } from './problems.ts';

/** What every component of one agent process shares. */
export interface AgentContext {
  /** As of the start: for what cannot change while the agent runs. */
  readonly config: AgentConfig;
  readonly live: LiveConfig;
  readonly log: Logger;
  /** Its last lines. */
  readonly recentLog: () => readonly string[];
  readonly setLogLevel: (level: LogLevel) => void;
  readonly clock: Clock;
  readonly lifecycle: Lifecycle;
  readonly metrics: AgentMetrics;
  readonly descriptors: DescriptorBudget;
  /** Of the namespace of this process. */
  readonly nodeEvents: NodeEvents;
  /** For `weft status`. */
  readonly problems: Problems;
  /** Who masquerades the pods: the fabric changes its table by way of this. */
  readonly podMasquerade: PodMasquerade;
}
