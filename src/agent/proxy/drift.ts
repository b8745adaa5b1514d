import type { IPFamily } from '../../net/ip.ts';
import type { NetlinkReply } from '../../netlink/message.ts';
import { type TableEvent, watchTables } from '../../nftables/monitor.ts';
import { tableText } from '../../nftables/text.ts';
import { proxyTable } from '../../proxy/nftables/layout.ts';
import type { ServiceProxy } from '../../proxy/service-proxy.ts';
import type { AgentContext } from '../context.ts';
import { type EventSink, nodeOf } from './events.ts';

export interface DriftOptions {
  readonly families: readonly IPFamily[];
  readonly proxy: ServiceProxy;
  readonly events: EventSink;
  /** Netlink ports that the proxy's own transactions come from. */
  readonly ownPorts: ReadonlySet<number>;
  /** Told of every transaction of somebody else, whatever its tables. */
  readonly onForeignChange: (event: TableEvent) => void;
  /** Sees every message about the ruleset. */
  readonly onMessage: (message: NetlinkReply) => void;
}

/**
 * Somebody else committed a change to one of our tables (`nft flush ruleset` among the ways):
 * the next sync reads it back and puts it right.
 */
export function repairOnDrift(context: AgentContext, options: DriftOptions): void {
  const { config, log, lifecycle, metrics } = context;
  const tables = options.families.map((family) => ({
    family,
    name: tableText(proxyTable(family)),
  }));
  const watch = watchTables(
    undefined,
    (event) => {
      if (event !== 'overflow') {
        if (options.ownPorts.has(event.byPortId)) return;
        options.onForeignChange(event);
      }
      for (const { family, name } of tables) {
        if (event !== 'overflow' && !event.tables.has(name)) continue;
        const by = event === 'overflow' ? 'unknown: notifications were lost' : event.byProcess;
        log.warn({ table: name, by }, 'table changed by somebody else, reading it back');
        metrics.nftablesRepaired(name);
        options.proxy.resync(family);
        options.events.send({
          about: nodeOf(config),
          type: 'Warning',
          reason: 'ServiceRulesChanged',
          action: 'RepairServiceRules',
          note: `table ${name} was changed by ${by}; weft repairs it`,
        });
      }
    },
    options.onMessage,
  );
  lifecycle.onShutdown('table monitor', () => watch.close());
}
