import { openRtnl } from '../../kernel/rtnl.ts';
import type { IPFamily } from '../../net/ip.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import { diffTable, type TableDifference } from '../../proxy/nftables/difference.ts';
import { kernelTables } from '../../proxy/nftables/kernel-table.ts';
import { proxyTable } from '../../proxy/nftables/layout.ts';
import type { ProxySnapshot } from '../../proxy/snapshot.ts';
import { assertNever, WeftError } from '../../util/errors.ts';
import type { AgentConfig } from '../config/agent-config.ts';
import type { AgentContext } from '../context.ts';
import { explain, syncedSnapshot } from './explain.ts';
import { tracePacket } from './live-trace.ts';
import { type DebugRequest, debugSocketPath } from './protocol.ts';
import { DebugServer } from './server.ts';

/** What is asked about. */
interface Snapshots {
  snapshots(): ReadonlyMap<IPFamily, ProxySnapshot>;
}

/**
 * Answers `weft explain` and `weft diff` on `<run directory>/agent.sock`. Where there can be no such
 * socket the agent works without.
 */
export function startDebug(context: AgentContext, proxy: Snapshots): void {
  try {
    const server = listen(context, proxy);
    context.lifecycle.onShutdown('debug socket', () => server.close());
  } catch (err) {
    context.log.warn({ err }, 'no debug socket, weft explain and weft diff will not work');
  }
}

function listen({ config, clock, log }: AgentContext, proxy: Snapshots): DebugServer {
  const sources = {
    snapshots: () => proxy.snapshots(),
    openRtnl: () => openRtnl(),
    tracePacket: (packet, timeoutMs, signal) => tracePacket(packet, { clock, timeoutMs, signal }),
  } satisfies Parameters<typeof explain>[1];
  return DebugServer.listen({
    path: debugSocketPath(config.runDir),
    clock,
    log: log.child({ component: 'debug' }),
    answer: async (request: DebugRequest, signal) => {
      switch (request.command) {
        case 'explain':
          if (request.liveTimeoutMs !== undefined) requireNftables('explain --live', config);
          return explain(request, sources, signal);
        case 'diff':
          requireNftables('diff', config);
          return diffTables(proxy.snapshots());
        default:
          return assertNever(request, 'request');
      }
    },
  });
}

function requireNftables(command: string, { proxy: { mode } }: Pick<AgentConfig, 'proxy'>): void {
  if (mode === 'nftables') return;
  const reason = `it reads nftables, and this agent works in mode ${mode}`;
  throw new WeftError('ENOTSUP', `weft ${command}: ${reason}`);
}

async function diffTables(
  snapshots: ReadonlyMap<IPFamily, ProxySnapshot>,
): Promise<readonly TableDifference[]> {
  const differences: TableDifference[] = [];
  for (const family of snapshots.keys()) {
    const snapshot = syncedSnapshot(snapshots, family);
    const connection = NftablesConnection.open();
    try {
      const difference = await diffTable(snapshot, {
        openTable: kernelTables(() => NftablesConnection.open()),
        hasRules: (chain) => connection.hasRules(proxyTable(family), chain),
      });
      differences.push(difference);
    } finally {
      connection.close();
    }
  }
  return differences;
}
