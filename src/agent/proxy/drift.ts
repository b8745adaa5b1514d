import type { ServiceProxy } from '../../proxy/service-proxy.ts';
import type { AgentContext } from '../context.ts';
import { type EventSink, nodeOf } from './events.ts';
import type { OpenedMode } from './modes/mode.ts';

export interface RepairOptions {
  readonly mode: OpenedMode;
  readonly proxy: Pick<ServiceProxy, 'resync'>;
  readonly events: EventSink;
  /** Told of every transaction of somebody else, whatever its tables. */
  readonly onForeignChange: (tables: ReadonlySet<string>) => void;
}

/**
 * Somebody else changed rules of ours (`nft flush ruleset`, `iptables -F` among the ways): the next
 * sync reads them back and puts them right.
 */
export function repairOnDrift(context: AgentContext, options: RepairOptions): void {
  const { config, log, lifecycle, metrics } = context;
  const { mode, proxy, events, onForeignChange } = options;
  const watch = mode.watchDrift({
    onForeignChange,
    onDrift: ({ family, tables, what, by }) => {
      log.warn({ tables, what, by }, 'rules changed by somebody else, reading them back');
      for (const table of tables) metrics.rulesRepaired(table);
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
}
