/**
 * A cluster of many nodes as namespaces, the fabric of each in this process: some links that meet in one
 * router. Nodes are made with few programs, and have the address of a pod themselves.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Node } from '../../src/kube/types.ts';
import { type LabNode, type RunningFabric, startLabFabric } from './fabric-lab.ts';
import { node as nodeObject } from './fabric-objects.ts';
import { createNetns, type TestNetns } from './netns.ts';
import { until } from './until.ts';

const execute = promisify(execFile);
const LINKS = [1, 2, 3];

export interface ClusterNode extends Pick<LabNode, 'netns' | 'name' | 'podAddresses'> {
  readonly n: number;
  readonly object: Node;
  readonly running: RunningFabric;
}

export class FabricCluster {
  readonly #router: TestNetns;
  readonly #nodes = new Map<number, ClusterNode>();
  readonly #objects = new Map<string, Node>();

  constructor() {
    this.#router = createNetns('fab-r');
    this.#router.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    // A bridge without a MAC of its own has another one when a port goes, and its nodes lose the router.
    this.#router.batch(
      LINKS.flatMap((link) => [
        `link add lan${link} address 02:00:00:00:01:0${link} type bridge`,
        `link set lan${link} up`,
        `addr add 192.0.${link}.254/24 dev lan${link}`,
        `addr add 2001:db8:${link}::fe/64 dev lan${link} nodad`,
      ]),
    );
  }

  get nodes(): readonly ClusterNode[] {
    return [...this.#nodes.values()];
  }

  node(n: number): ClusterNode {
    const node = this.#nodes.get(n);
    if (node === undefined) throw new Error(`there is no node ${n}`);
    return node;
  }

  /** Boots number n on its link; who knows of it learns of its address, which `host` ends. */
  boot(n: number, host = n): ClusterNode {
    const link = linkOf(n);
    const netns = createNetns(`fab-n${n}`);
    this.#router.batch([
      `link add to-n${n} type veth peer name eth0 netns ${netns.name}`,
      `link set to-n${n} master lan${link} up`,
    ]);
    netns.batch([
      ...['link set eth0 up', ...addressCommands('add', link, host)],
      ...['link add cni0 type bridge', 'link set cni0 up'],
      ...[1, 2].flatMap((i) => [
        `addr add 10.244.${n}.${i}/24 dev cni0`,
        `addr add fd00:${n}::${i}/64 dev cni0 nodad`,
      ]),
    ]);
    const object = objectOf(n, host);
    this.#objects.set(object.metadata.name, object);
    const name = object.metadata.name;
    const objects = [...this.#objects.values()];
    const running = startLabFabric(
      { netns, name },
      objects.map((each) => ({ object: each })),
    );
    const podAddresses = [`10.244.${n}.2`, `fd00:${n}::2`] as const;
    const node = { n, netns, name, object, running, podAddresses };
    this.#nodes.set(n, node);
    this.#tell(object);
    return node;
  }

  /** Takes power and namespace away; its Node stays. */
  async crash(n: number): Promise<void> {
    const { running, netns } = this.node(n);
    this.#nodes.delete(n);
    await running.stop();
    netns.remove();
    // A namespace ends later than its name, and its links with it.
    await until('its link is gone', () => {
      const words = ['link', 'show', `to-n${n}`];
      return this.#router.attempt('ip', words).status !== 0;
    });
  }

  /** Crashes, and its Node is deleted. */
  async leave(n: number): Promise<void> {
    const { name } = this.node(n);
    await this.crash(n);
    this.#objects.delete(name);
    for (const { running } of this.nodes) running.fabric.deleteNode(name);
  }

  /** Its link gets another address, as from a DHCP server that forgot it; then its Node says so. */
  readdress(n: number, host: number): void {
    const { netns, name } = this.node(n);
    const link = linkOf(n);
    netns.batch([
      ...addressCommands('del', link, n).slice(0, 2),
      ...addressCommands('add', link, host),
    ]);
    const object = objectOf(n, host);
    this.#objects.set(name, object);
    this.#tell(object);
  }

  /** Waits until every node knows ways to all others, and nothing is wrong. */
  async settled(): Promise<void> {
    await until('every node is complete', () =>
      this.nodes.every(({ running }) => {
        const { isReady, peers, problems } = running.fabric.report;
        const isComplete = peers.length === this.#objects.size - 1;
        return isReady && isComplete && problems.length === 0;
      }),
    );
  }

  async remove(): Promise<void> {
    for (const { running } of this.nodes) await running.stop();
    for (const { netns } of [...this.nodes, { netns: this.#router }]) netns.remove();
  }

  #tell(object: Node): void {
    for (const { running } of this.nodes) running.fabric.putNode(object);
  }
}

/** Number 3 and every fifth after it are on the second, number 4 and so on on the third. */
function linkOf(n: number): number {
  return [1, 1, 1, 2, 3][n % 5] ?? 1;
}

function objectOf(n: number, host: number): Node {
  const link = linkOf(n);
  const addresses = [`192.0.${link}.${host}`, `2001:db8:${link}::${host}`];
  return nodeObject(`n${n}`, [`10.244.${n}.0/24`, `fd00:${n}::/64`], addresses);
}

function addressCommands(verb: 'add' | 'del', link: number, host: number): readonly string[] {
  return [
    `addr ${verb} 192.0.${link}.${host}/24 dev eth0`,
    `addr ${verb} 2001:db8:${link}::${host}/64 dev eth0${verb === 'add' ? ' nodad' : ''}`,
    `route replace default via 192.0.${link}.254`,
    `route replace default via 2001:db8:${link}::fe`,
  ];
}

/** Whether one packet of each family arrives, and the answer. */
export async function reaches(
  from: Pick<ClusterNode, 'netns'>,
  to: Pick<ClusterNode, 'podAddresses'>,
): Promise<boolean> {
  const pings = to.podAddresses.map((address) => {
    const words = [`--net=${from.netns.path}`, 'ping', '-c1', '-W2', '-n', '-q', address];
    return execute('nsenter', words, { timeout: 10_000 });
  });
  const results = await Promise.allSettled(pings);
  return results.every(({ status }) => status === 'fulfilled');
}
