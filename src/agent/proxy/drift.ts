import type { OpenedMode } from '../../proxy/modes/mode.ts';
import type { ServiceProxy } from '../../proxy/service-proxy.ts';
import type { AgentContext } from '../context.ts';
import type { ModeMetrics } from '../metrics/metrics.ts';
import { type EventSink, nodeOf } from '../objects/events.ts';
import type { RepairLog } from './status.ts';

export interface RepairOptions {
  readonly mode: OpenedMode;
  readonly proxy: Pick<ServiceProxy, 'resync'>;
  readonly metrics: Pick<ModeMetrics, 'rulesRepaired'>;
  readonly events: EventSink;
  /** Told of every transaction of somebody else, whatever its tables. */
  readonly onForeignChange: (tables: ReadonlySet<string>) => void;
}

/**
 * Somebody else changed rules of ours (`nft flush ruleset`, `iptables -F` among the ways): the next
 * sync reads them back and puts them right. Gives what has been repaired so far.
 */
export function repairOnDrift(context: AgentContext, options: RepairOptions): () => RepairLog {
  const { config, clock, log, lifecycle } = context;
  const { mode, proxy, metrics, events, onForeignChange } = options;
  let repairs: RepairLog = { count: 0 };
  const watch = mode.watchDrift({
    onForeignChange,
    onDrift: ({ family, tables, what, by }) => {
      log.warn({ tables, what, by }, 'rules changed by somebody else, reading them back');
      for (const table of tables) metrics.rulesRepaired(table);
      repairs = { count: repairs.count + 1, last: { atMs: clock.now(), what, by } };
      proxy.resync(family);
      events.send({
        about: nodeOf(config),
        type: 'Warning',
        reason: 'ServiceRulesChanged',
        action: 'RepairServiceRules',
        note: `${what}: changed by ${by}; weft repairs it`,
      });
    },
  });
  lifecycle.onShutdown('rules monitor', () => watch.close());
  return () => repairs;
}
