import { join } from 'node:path';
import { readBootId } from '../../cni/machine.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import { openRtnl } from '../../kernel/rtnl.ts';
import type { IPFamily } from '../../net/ip.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import { diffTable, type TableDifference } from '../../proxy/modes/nftables/difference.ts';
import { kernelTables } from '../../proxy/modes/nftables/kernel-table.ts';
import { proxyTable } from '../../proxy/modes/nftables/layout.ts';
import type { ProxySnapshot } from '../../proxy/snapshot.ts';
import { assertNever, WeftError } from '../../util/errors.ts';
import type { AgentContext } from '../context.ts';
import type { ProxyComponent } from '../proxy/component.ts';
import { explain, syncedSnapshot } from './explain.ts';
import { tracePacket } from './live-trace.ts';
import { podMasqueradesOf } from './pod-masquerades.ts';
import { describePod, listPolicies, type PolicyView } from './policy.ts';
import { type DebugRequest, debugSocketPath, type PolicyRequest } from './protocol.ts';
import { DebugServer } from './server.ts';
import type { AgentStatus } from './status.ts';

/** What is asked about. */
export interface DebugSubjects {
  /** Undefined: the agent runs without the proxy component. */
  readonly proxy: ProxyComponent | undefined;
  /** Undefined: the agent runs without the policy component. */
  readonly policy: PolicyView | undefined;
  readonly status: () => AgentStatus;
}

/**
 * Answers what people ask a running agent on `<run directory>/agent.sock` (protocol.ts). Where there
 * can be no such socket the agent works without.
 */
export function startDebug(context: AgentContext, subjects: DebugSubjects): void {
  try {
    const server = listen(context, subjects);
    context.lifecycle.onShutdown('debug socket', () => server.close());
  } catch (err) {
    context.log.warn({ err }, 'no debug socket, questions will not be answered');
  }
}

function listen(
  { config, clock, log, descriptors, podMasquerade }: AgentContext,
  subjects: DebugSubjects,
): DebugServer {
  const records = openRecords(join(config.runDir, 'attachments'), {
    bootId: readBootId,
    now: () => clock.now(),
  });
  return DebugServer.listen({
    path: debugSocketPath(config.runDir),
    clock,
    log: log.child({ component: 'debug' }),
    most: descriptors.limits.debug,
    answer: async (request: DebugRequest, signal) => {
      switch (request.command) {
        case 'status':
          return subjects.status();
        case 'explain': {
          const proxy = requireProxy('explain', subjects);
          if (request.liveTimeoutMs !== undefined) requireNftables('explain --live', proxy);
          const sources = {
            snapshots: proxy.snapshots,
            openRtnl: () => openRtnl(),
            mode: proxy.choice.mode,
            podMasquerades: () => podMasqueradesOf(records.list(), podMasquerade),
            tracePacket: (packet, timeoutMs, stop) =>
              tracePacket(packet, { clock, timeoutMs, signal: stop }),
          } satisfies Parameters<typeof explain>[1];
          return { ...(await explain(request, sources, signal)), doubts: proxy.problems() };
        }
        case 'diff': {
          const proxy = requireProxy('diff', subjects);
          requireNftables('diff', proxy);
          return diffTables(proxy.snapshots());
        }
        case 'policy list':
        case 'policy pod':
        case 'policy denied':
          return answerPolicy(request, requirePolicy(request.command, subjects));
        default:
          return assertNever(request, 'request');
      }
    },
  });
}

function answerPolicy(request: PolicyRequest, policy: PolicyView): unknown {
  switch (request.command) {
    case 'policy list':
      return listPolicies(policy);
    case 'policy pod':
      return describePod(request.pod, policy);
    case 'policy denied':
      return policy.denied(request.after);
  }
}

function requirePolicy(command: string, { policy }: DebugSubjects): PolicyView {
  if (policy !== undefined) return policy;
  throw new WeftError('ENOTSUP', `weft ${command}: this agent runs without the component policy`);
}

function requireProxy(command: string, { proxy }: DebugSubjects): ProxyComponent {
  if (proxy !== undefined) return proxy;
  throw new WeftError('ENOTSUP', `weft ${command}: this agent runs without the component proxy`);
}

function requireNftables(command: string, { choice: { mode } }: ProxyComponent): void {
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
