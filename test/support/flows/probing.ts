/** Flows of the table as packets: one process per client namespace makes all of its connections. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { ProxyLab } from '../proxy-lab.ts';
import { type Answer, type Flow, type From, type Server, sourceOf, type Want } from './flow.ts';
import type { Net } from './net.ts';

/** One flow to try, `count` times. */
export interface FlowProbe {
  readonly source: string;
  readonly protocol: 'tcp' | 'udp';
  readonly host: string;
  readonly port: number;
  readonly count: number;
  readonly timeoutMs: number;
}

/** How often each outcome came: `<server> <peer address>`, or an error code. */
export type FlowResult = Readonly<Record<string, number>>;

export interface NetFlow {
  readonly net: Net;
  readonly flow: Flow;
}

const PROGRAM = new URL('../workloads/flow-probe.ts', import.meta.url).pathname;
const ANSWER_TIMEOUT_MS = 4_000;
/** A client that overlooks its first refusal learns of the next after a second at the earliest. */
const REFUSAL_TIMEOUT_MS = 900;
/** What is dropped stays silent for good; nothing shorter than a retransmission can slip through. */
const SILENCE_MS = 300;
/** By number of servers; each of them is missed about once in ten million runs. */
const COUNTS = [2, 2, 24, 40];

/** Tries flows from all their namespaces at once; the results are in the order of the flows. */
export async function tryFlows(
  lab: ProxyLab,
  flows: readonly NetFlow[],
): Promise<readonly FlowResult[]> {
  const results = new Map<NetFlow, FlowResult>();
  const byNamespace = Map.groupBy(flows, ({ flow }) => namespaceOf(lab, flow.from).path);
  await Promise.all(
    Array.from(byNamespace, async ([path, group]) => {
      const answers = await runProbe(path, group.map(probeOf));
      for (const [i, entry] of group.entries()) results.set(entry, answers[i] ?? {});
    }),
  );
  return flows.map((entry) => results.get(entry) ?? {});
}

/** A result in the table's words; what the table has no word for stays as it is. */
export function packetAnswer(result: FlowResult, { net, flow }: NetFlow): Want | string {
  const outcomes = Object.keys(result).sort();
  if (outcomes.join() === 'ECONNREFUSED') return 'reject';
  if (outcomes.join() === 'TIMEOUT') return 'drop';
  const source = sourceOf(flow.from, net);
  const nodeAddresses: readonly string[] = [net.bridge, net.node, net.second, net.outer];
  const answers = outcomes.map((outcome): Answer | undefined => {
    const [server = '', peer = ''] = outcome.split(' ');
    if (!isServer(server)) return undefined;
    if (peer === source) return { server, source: 'own' };
    return nodeAddresses.includes(peer) ? { server, source: 'node' } : undefined;
  });
  const known = answers.filter((answer) => answer !== undefined);
  return known.length === answers.length ? known : outcomes.join(', ');
}

function isServer(name: string): name is Server {
  return name === 'a' || name === 'b' || name === 'remote';
}

function namespaceOf(lab: ProxyLab, from: From) {
  switch (from) {
    case 'client':
    case 'podA':
    case 'outside':
      return lab[from];
    case 'stranger':
      return lab.outside;
    default:
      return lab.node;
  }
}

function probeOf({ net, flow }: NetFlow): FlowProbe {
  const { want, to: host, port, protocol = 'tcp' } = flow;
  if (protocol === 'sctp') throw new Error('there are no sockets for SCTP');
  const servers = typeof want === 'string' ? 0 : want.length;
  const timeoutMs = timeoutOf(want);
  const source = sourceOf(flow.from, net);
  return { source, protocol, host, port, count: COUNTS[servers] ?? 0, timeoutMs };
}

function timeoutOf(want: Want): number {
  if (want === 'drop') return SILENCE_MS;
  return want === 'reject' ? REFUSAL_TIMEOUT_MS : ANSWER_TIMEOUT_MS;
}

/** Runs probes in one namespace, all at the same time. */
export async function runProbe(path: string, probes: readonly FlowProbe[]): Promise<FlowResult[]> {
  const child = spawn('nsenter', [`--net=${path}`, process.execPath, PROGRAM], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify(probes));
  // The program prints exactly this shape.
  return JSON.parse(await text(child.stdout)) as FlowResult[];
}
