/** Flows of the table as packets: one process per client namespace makes all of its connections. */
import { createInterface, type Interface } from 'node:readline';
import type { Writable } from 'node:stream';
import type { TestNetns } from '../netns.ts';
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
/** Where each has its turn. */
const TURNS = [2, 2, 6, 9];

/** Tries flows from all their namespaces at once; the results are in the order of the flows. */
export async function tryFlows(
  lab: ProxyLab,
  flows: readonly NetFlow[],
  { takesTurns = false } = {},
): Promise<readonly FlowResult[]> {
  const counts = takesTurns ? TURNS : COUNTS;
  const results = new Map<NetFlow, FlowResult>();
  const byNamespace = Map.groupBy(flows, ({ flow }) => namespaceOf(lab, flow.from));
  await Promise.all(
    Array.from(byNamespace, async ([netns, group]) => {
      const answers = await runProbe(
        netns,
        group.map((each) => probeOf(each, counts)),
      );
      for (const [i, entry] of group.entries()) results.set(entry, answers[i] ?? {});
    }),
  );
  return flows.map((entry) => results.get(entry) ?? {});
}

/** A result in the table's words; what the table has no word for stays as it is. */
export function packetAnswer(result: FlowResult, { net, flow }: NetFlow): Want | string {
  const outcomes = Object.keys(result).sort();
  if (outcomes.join() === 'ECONNREFUSED') return 'reject';
  if (outcomes.join() === 'ECONNRESET') return 'reset';
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

function probeOf({ net, flow }: NetFlow, counts: readonly number[]): FlowProbe {
  const { want, to: host, port, protocol = 'tcp' } = flow;
  if (protocol === 'sctp') throw new Error('there are no sockets for SCTP');
  const servers = typeof want === 'string' ? 0 : want.length;
  const timeoutMs = timeoutOf(want);
  const source = sourceOf(flow.from, net);
  return { source, protocol, host, port, count: counts[servers] ?? 0, timeoutMs };
}

function timeoutOf(want: Want): number {
  if (want === 'drop') return SILENCE_MS;
  return want === 'reject' || want === 'reset' ? REFUSAL_TIMEOUT_MS : ANSWER_TIMEOUT_MS;
}

interface ProbeProgram {
  readonly input: Writable;
  readonly lines: AsyncIterator<string>;
}

/** Starting a program costs more than what it does: it stays for as long as its namespace. */
const programs = new WeakMap<TestNetns, ProbeProgram>();

function programIn(netns: TestNetns): ProbeProgram {
  const running = programs.get(netns);
  if (running !== undefined) return running;
  const stdio = ['pipe', 'pipe', 'inherit'] as const;
  const { stdin, stdout } = netns.start(process.execPath, [PROGRAM], { stdio: [...stdio] });
  if (stdin === null || stdout === null) throw new Error('the probe was started without pipes');
  const lines: Interface = createInterface({ input: stdout });
  const program = { input: stdin, lines: lines[Symbol.asyncIterator]() };
  programs.set(netns, program);
  return program;
}

/** Runs probes in one namespace, all at the same time; one call after the other. */
export async function runProbe(
  netns: TestNetns,
  probes: readonly FlowProbe[],
): Promise<FlowResult[]> {
  const { input, lines } = programIn(netns);
  input.write(`${JSON.stringify(probes)}\n`);
  const { value, done } = await lines.next();
  if (done === true) throw new Error(`the probe in ${netns.name} has ended`);
  // The program prints exactly this shape.
  return JSON.parse(value) as FlowResult[];
}
