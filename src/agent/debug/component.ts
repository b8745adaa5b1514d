import { join } from 'node:path';
import type { AttachmentRecords } from '../../cni/attachment-records.ts';
import { readBootId } from '../../cni/machine.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import { openRtnl } from '../../kernel/rtnl.ts';
import type { IPFamily } from '../../net/ip.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import type { Parties } from '../../policy/parties.ts';
import { diffTable, type TableDifference } from '../../proxy/modes/nftables/difference.ts';
import { kernelTables } from '../../proxy/modes/nftables/kernel-table.ts';
import { proxyTable } from '../../proxy/modes/nftables/layout.ts';
import type { ProxySnapshot } from '../../proxy/snapshot.ts';
import { assertNever, WeftError } from '../../util/errors.ts';
import type { AgentContext } from '../context.ts';
import type { ProxyComponent } from '../proxy/component.ts';
import { type ExplainAnswer, explain, syncedSnapshot } from './explain.ts';
import { tracePacket } from './live-trace.ts';
import type { NamedParty } from './named-packet.ts';
import { podMasqueradesOf } from './pod-masquerades.ts';
import { describePod, listPolicies, type PolicyView } from './policy.ts';
import {
  type DebugRequest,
  debugSocketPath,
  type ExplainRequest,
  type PolicyRequest,
} from './protocol.ts';
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

function listen(context: AgentContext, subjects: DebugSubjects): DebugServer {
  const { config, clock, log, descriptors } = context;
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
        case 'explain':
          return answerExplain(request, { context, subjects, records }, signal);
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

async function answerExplain(
  request: ExplainRequest,
  parts: {
    readonly context: AgentContext;
    readonly subjects: DebugSubjects;
    readonly records: AttachmentRecords;
  },
  signal: AbortSignal,
): Promise<ExplainAnswer> {
  const { context, subjects, records } = parts;
  const { clock, podMasquerade } = context;
  const proxy = requireProxy('explain', subjects);
  if (request.liveTimeoutMs !== undefined) requireNftables('explain --live', proxy);
  const answer = await explain(
    request,
    {
      snapshots: proxy.snapshots,
      openRtnl: () => openRtnl(),
      mode: proxy.choice.mode,
      policyWorld: subjects.policy?.world,
      partyOf: (name) => partyNamed(name, subjects.policy?.world().parties, records),
      podMasquerades: () => podMasqueradesOf(records.list(), podMasquerade),
      tracePacket: (packet, timeoutMs, stop) =>
        tracePacket(packet, { clock, timeoutMs, signal: stop }),
    },
    signal,
  );
  const whyNot = subjects.policy?.whyNotReady() ?? '';
  const unenforced = whyNot === '' ? [] : [`policies do not hold on this node: ${whyNot}`];
  return { ...answer, doubts: [...proxy.problems(), ...unenforced] };
}

/** By the policies' objects, or where there are none by the records of this node's pods. */
function partyNamed(
  name: string,
  parties: Parties | undefined,
  records: AttachmentRecords,
): NamedParty | undefined {
  const party = parties?.resolve(name);
  if (party !== undefined && !('problem' in party)) {
    return { ips: party.ips, ports: party.kind === 'pod' ? party.ports : [] };
  }
  const ips = records
    .list()
    .filter(({ pod }) => name === `${pod.podNamespace}/${pod.podName}`)
    .flatMap(({ addresses }) => addresses);
  return ips.length === 0 ? undefined : { ips, ports: [] };
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
