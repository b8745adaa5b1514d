import type { Watch } from '../../../kernel/node-events.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { NftablesConnection } from '../../../nftables/connection.ts';
import { listElements } from '../../../nftables/element-listing.ts';
import { removeTable } from '../../../nftables/own-namespace.ts';
import { tableText } from '../../../nftables/text.ts';
import { IoError, toError } from '../../../util/errors.ts';
import { ConnectionCounters } from '../../counters/counters.ts';
import type { DriftListener, ModeNode, OpenedMode, ProxyMode } from '../mode.ts';
import { serveLocalhostNodePorts } from '../userspace/localhost-node-ports.ts';
import { kernelTables } from './kernel-table.ts';
import { proxyTable } from './layout.ts';
import { probeTables } from './probe.ts';
import { tableSessions } from './table-session.ts';

/** Services in tables of our own. Throws IoError when the kernel or its rights do not allow it. */
export const NFTABLES_MODE: ProxyMode = {
  open,
  remove: (_kind, family) => removeTable(proxyTable(family)),
};

function open(node: ModeNode): OpenedMode {
  probe(node.families);
  const ownPorts = new Set<number>();
  const connect = () => {
    const connection = NftablesConnection.open();
    ownPorts.add(connection.portId);
    return connection;
  };
  const counters = countConnections(node);
  return {
    kind: 'nftables',
    openSession: tableSessions(kernelTables(connect)),
    listeners: () => [counters, ...serveLocalhostNodePorts(node)],
    counts: () => counters.counts(),
    watchDrift: (listener) => watchOwnTables(node, { ownPorts, counters }, listener),
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
function countConnections(node: ModeNode): ConnectionCounters {
  const { families, settings, clock, log, metrics } = node;
  const counters = new ConnectionCounters({
    families,
    hasEndpoints: settings.endpointMetrics,
    list: (family, set, onPart) => listElements({}, proxyTable(family), set, onPart),
    clock,
    log: log.child({ component: 'counters' }),
  });
  metrics.appendText(() => counters.text());
  return counters;
}

interface OwnTables {
  /** Of the connections that write them. */
  readonly ownPorts: ReadonlySet<number>;
  readonly counters: ConnectionCounters;
}

/** The kernel tells of every transaction, whose port says whether it was one of ours. */
function watchOwnTables(
  { families, nodeEvents }: ModeNode,
  { ownPorts, counters }: OwnTables,
  { onDrift, onForeignChange }: DriftListener,
): Watch {
  return nodeEvents.onTables(
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
