/** Connections to workloads, from inside namespaces. */
import type { TestNetns } from '../netns.ts';
import { until } from '../until.ts';
import type { RuntimeNode } from './runtime-node.ts';

/** Starts the workload's server in a namespace below the node's /run/netns. */
export function serveIn(node: RuntimeNode, netnsName: string, port: number): void {
  const command = [`--net=/run/netns/${netnsName}`, node.path('workload'), String(port)];
  node.start(`server-${netnsName}`, 'nsenter', command);
}

/** What the workload at an address answers: its own addresses as `link address`. */
export async function ask(from: TestNetns, address: string, port: number): Promise<string[]> {
  const answer = await until(`${address} port ${port} answers`, () =>
    attemptToAsk(from, address, port),
  );
  return answer.trim().split('\n');
}

/** One try; undefined when nobody answers within a second. */
export function attemptToAsk(from: TestNetns, address: string, port: number): string | undefined {
  const read = `cat </dev/tcp/${address}/${port}`;
  const { status, stdout } = from.attempt('timeout', ['1', 'bash', '-c', read]);
  return status === 0 ? stdout : undefined;
}
