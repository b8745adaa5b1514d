/**
 * A cluster of many nodes on one link that know each other by BGP alone: a namespace with BIRD for each, told
 * what to do by a Speaker in this process. A node has the address of a pod itself.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import type { NodeRtnl } from '../../src/kernel/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import type { RoutedNode } from '../../src/routing/facts.ts';
import { parseNodeSelector } from '../../src/routing/node-selector.ts';
import type { BgpSettings } from '../../src/routing/settings.ts';
import { BGP, facts, LabBird, routedNode } from './bird-lab.ts';
import { createNetns, type TestNetns } from './netns.ts';
import { until } from './until.ts';

/** `RTPROT_BIRD` of rtnetlink.h. */
const RTPROT_BIRD = 12;
const LINK_NETWORKS = ['192.0.2.0/24', '2001:db8::/64'].map(parseCidr);
const REFLECTOR = 'weft.dev/route-reflector';

export interface BgpNode {
  readonly n: number;
  readonly netns: TestNetns;
  readonly bird: LabBird;
  readonly podAddresses: readonly [string, string];
  readonly rtnl: NodeRtnl;
  close(): void;
}

/** Nodes n1, n2, …, of which the first ones reflect; with no reflectors they are a mesh. */
export class BgpCluster {
  readonly #switch: TestNetns;
  readonly #settings: BgpSettings;
  readonly #reflectors: number;
  readonly #nodes = new Map<number, BgpNode>();
  #objects: readonly RoutedNode[] = [];

  constructor(reflectors: number) {
    const selector = parseNodeSelector(`${REFLECTOR}=true`);
    if (selector === undefined) throw new Error('no selector');
    const topology = reflectors === 0 ? 'mesh' : 'reflectors';
    this.#settings = { ...BGP, topology, reflectors: selector };
    this.#reflectors = reflectors;
    this.#switch = createNetns('bgp-s');
    // Without a MAC of its own it has another one when a port goes.
    this.#switch.batch([
      'link add lan address 02:00:00:00:01:01 type bridge mcast_snooping 0',
      'link set lan up',
    ]);
  }

  get nodes(): readonly BgpNode[] {
    return [...this.#nodes.values()];
  }

  node(n: number): BgpNode {
    const node = this.#nodes.get(n);
    if (node === undefined) throw new Error(`there is no node ${n}`);
    return node;
  }

  /** Makes the namespaces of nodes that nobody knows yet. */
  build(numbers: readonly number[]): void {
    for (const n of numbers) {
      const netns = createNetns(`bgp-n${n}`);
      this.#switch.batch([
        `link add to-n${n} type veth peer name eth0 netns ${netns.name}`,
        `link set to-n${n} master lan up`,
      ]);
      const podAddresses = [`10.244.${n}.1`, `fd00:${n}::1`] as const;
      netns.batch([
        'link set eth0 up',
        ...addressesOf(n),
        ...podAddresses.map((address) => `addr add ${address} dev lo`),
      ]);
      const bird = new LabBird(netns, this.#settings, facts(nameOf(n), []));
      const opened = netnses.open(netns.path);
      const rtnl = openRtnl(opened);
      const close = () => {
        rtnl.close();
        opened.close();
      };
      this.#nodes.set(n, { n, netns, bird, podAddresses, rtnl, close });
    }
  }

  /** Nodes that were built join: all others are told, and their BIRDs start. */
  async join(numbers: readonly number[]): Promise<void> {
    const joining = numbers.map((n) => this.#objectOf(n));
    const known = new Set(this.#objects.map(({ name }) => name));
    this.#objects = [...this.#objects, ...joining];
    const told = { nodes: this.#objects, linkNetworks: LINK_NETWORKS };
    for (const { n, bird } of this.nodes) {
      if (known.has(nameOf(n))) bird.tell({ facts: told });
    }
    await Promise.all(
      numbers.map((n) => {
        const { bird } = this.node(n);
        bird.facts = { ...bird.facts, ...told };
        return bird.start();
      }),
    );
  }

  /** Power goes: nothing comes from there any more, and nobody is told so. */
  async crash(numbers: readonly number[]): Promise<void> {
    for (const n of numbers) this.unplug(n);
    await Promise.all(numbers.map((n) => this.node(n).bird.kill()));
  }

  /** They start from nothing: neither the file of BIRD nor routes are there. */
  async boot(numbers: readonly number[]): Promise<void> {
    await Promise.all(
      numbers.map((n) => {
        const { bird, netns } = this.node(n);
        for (const file of ['bird.conf', 'bird.ctl']) rmSync(join(bird.directory, file));
        for (const family of ['-4', '-6'])
          netns.run('ip', family, 'route', 'flush', 'proto', 'bird');
        this.plug(n);
        return bird.start();
      }),
    );
  }

  unplug(n: number): void {
    this.node(n).netns.run('ip', 'link', 'set', 'eth0', 'down');
  }

  plug(n: number): void {
    // A link that is down loses its IPv6 addresses.
    this.node(n).netns.batch(['link set eth0 up', ...addressesOf(n).slice(1)]);
  }

  /** Waits until these nodes, or all, have routes of BIRD to the pods of those and of nobody else. */
  async converged(
    numbers: readonly number[] = this.nodes.map(({ n }) => n),
    present = numbers,
  ): Promise<void> {
    let pending = numbers;
    await until('everybody knows everybody', () => {
      pending = pending.filter((n) => !this.#isComplete(n, present));
      return pending.length === 0;
    });
  }

  #isComplete(n: number, present: readonly number[]): boolean {
    const { rtnl } = this.node(n);
    const known = ([4, 6] as const)
      .flatMap((family) => rtnl.routes(family))
      .filter(({ protocol }) => protocol === RTPROT_BIRD)
      .map(({ destination }): string => destination);
    const others = present.filter((other) => other !== n).flatMap(podCIDRsOf);
    return known.length === others.length && new Set([...known, ...others]).size === known.length;
  }

  #objectOf(n: number): RoutedNode {
    const labels = n <= this.#reflectors ? { [REFLECTOR]: 'true' } : {};
    return routedNode(nameOf(n), podCIDRsOf(n), [`192.0.2.${n}`, `2001:db8::${n}`], { labels });
  }

  async remove(): Promise<void> {
    await Promise.all(this.nodes.map(({ bird }) => bird.remove()));
    for (const { netns, close } of this.nodes) {
      close();
      netns.remove();
    }
    this.#switch.remove();
  }
}

const nameOf = (n: number) => `n${n}`;
const podCIDRsOf = (n: number): readonly string[] => [`10.244.${n}.0/24`, `fd00:${n}::/64`];

function addressesOf(n: number): readonly string[] {
  return [`addr add 192.0.2.${n}/24 dev eth0`, `addr replace 2001:db8::${n}/64 dev eth0 nodad`];
}

/** `numbersFrom(3, 5)`: 3, 4, 5. */
export function numbersFrom(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
