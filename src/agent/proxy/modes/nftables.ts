import type { NodeEvents } from '../../../kernel/node-events.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { NftablesConnection } from '../../../nftables/connection.ts';
import { listElements } from '../../../nftables/element-listing.ts';
import { tableText } from '../../../nftables/text.ts';
import { ConnectionCounters } from '../../../proxy/counters/counters.ts';
import { kernelTables } from '../../../proxy/modes/nftables/kernel-table.ts';
import { proxyTable } from '../../../proxy/modes/nftables/layout.ts';
import { probeTables } from '../../../proxy/modes/nftables/probe.ts';
import { tableSessions } from '../../../proxy/modes/nftables/table-session.ts';
import { IoError, toError } from '../../../util/errors.ts';
import type { AgentContext } from '../../context.ts';
import { serveLocalhostNodePorts } from './localhost-node-ports.ts';
import type { DriftListener, OpenedMode } from './mode.ts';

/** Services in tables of our own. Throws IoError when the kernel or its rights do not allow it. */
export function openNftablesMode(context: AgentContext, families: readonly IPFamily[]): OpenedMode {
  probe(families);
  const ownPorts = new Set<number>();
  const connect = () => {
    const connection = NftablesConnection.open();
    ownPorts.add(connection.portId);
    return connection;
  };
  const counters = countConnections(context, families);
  return {
    kind: 'nftables',
    openSession: tableSessions(kernelTables(connect)),
    listeners: (events) => [counters, ...serveLocalhostNodePorts(context, families, events)],
    watchDrift: (listener) =>
      watchOwnTables(context.nodeEvents, { families, ownPorts, counters }, listener),
  };
}

function probe(families: readonly IPFamily[]): void {
  const connection = openConnection();
  try {
    probeTables((transaction) => connection.check(transaction), families);
  } finally {
    connection.close();
  }
}

function openConnection(): NftablesConnection {
  try {
    return NftablesConnection.open();
  } catch (cause) {
    const reason = toError(cause).message;
    throw new IoError(`${reason}; it needs CONFIG_NF_TABLES and CAP_NET_ADMIN`, { cause });
  }
}

/** Connections per Service, as metrics. */
function countConnections(
  { config, clock, log, metrics }: AgentContext,
  families: readonly IPFamily[],
): ConnectionCounters {
  const counters = new ConnectionCounters({
    families,
    hasEndpoints: config.own.endpointMetrics,
    list: (family, set, onPart) => listElements({}, proxyTable(family), set, onPart),
    clock,
    log: log.child({ component: 'counters' }),
  });
  metrics.appendText(() => counters.text());
  return counters;
}

interface OwnTables {
  readonly families: readonly IPFamily[];
  /** Of the connections that write them. */
  readonly ownPorts: ReadonlySet<number>;
  readonly counters: ConnectionCounters;
}

/** The kernel tells of every transaction, whose port says whether it was one of ours. */
function watchOwnTables(
  events: NodeEvents,
  { families, ownPorts, counters }: OwnTables,
  { onDrift, onForeignChange }: DriftListener,
): { close(): void } {
  return events.onTables(
    (event) => {
      if (event !== 'overflow') {
        if (ownPorts.has(event.byPortId)) return;
        onForeignChange(event.tables);
      }
      for (const family of families) {
        const name = tableText(proxyTable(family));
        if (event !== 'overflow' && !event.tables.has(name)) continue;
        const by = event === 'overflow' ? 'unknown: notifications were lost' : event.byProcess;
        onDrift({ family, tables: [name], what: `table ${name}`, by });
      }
    },
    (message) => counters.onRulesetMessage(message),
  );
}
