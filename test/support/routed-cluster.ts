/**
 * A cluster whose nodes tell their router of Services: the installed agent and BIRD on each, and on the
 * router a BIRD that spreads what it learns over all nodes that tell it.
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startRouter } from './bird-lab.ts';
import { Cluster, type ClusterNode, plan } from './cluster.ts';
import { nodeManifest } from './manifests.ts';
import { until } from './until.ts';

const ROUTER_ASN = 64_999;
const NODE_ASN = 64_512;
const [ROUTER4, ROUTER6] = plan.routerOnNodes;
const NOBODY = '192.168.0.253';

export interface RoutedClusterOptions {
  readonly nodes: number;
  /** Between nodes and router; without it graceful restart. */
  readonly bfd: boolean;
  /** The router's kernel is given routes, with all next hops in one. */
  readonly fillsKernel?: boolean;
}

export class RoutedCluster {
  readonly cluster: Cluster;
  readonly #peers: readonly object[];
  readonly #router: ReturnType<typeof startRouter>;
  readonly #birds = new Map<string, ChildProcess>();

  constructor({ nodes, bfd, fillsKernel = true }: RoutedClusterOptions) {
    this.#peers = [ROUTER4, ROUTER6].map((address, i) => {
      return { name: `router${i}`, address, asn: ROUTER_ASN, bfd };
    });
    const advertise = ['podCIDRs', 'loadBalancerIPs'];
    const routing = { asn: NODE_ASN, advertise, peers: this.#peers };
    this.cluster = new Cluster(nodes, 'rc', { routing });
    const { router } = this.cluster;
    // Connections are spread, not addresses.
    for (const family of ['ipv4', 'ipv6']) {
      router.run('sysctl', '-qw', `net.${family}.fib_multipath_hash_policy=1`);
    }
    this.#router = startRouter(router, routerConfig(this.cluster.nodes, bfd, fillsKernel));
  }

  get nodes(): readonly ClusterNode[] {
    return this.cluster.nodes;
  }

  node(n: number): ClusterNode {
    const node = this.nodes[n - 1];
    if (node === undefined) throw new Error(`there is no node ${n}`);
    return node;
  }

  /** Agents, then BIRDs, until the router knows the pods of all. */
  async start(): Promise<void> {
    const manifests = this.nodes.map(({ number }) => nodeManifest(number));
    this.cluster.writeManifest('nodes.yaml', manifests);
    for (const node of this.nodes) await node.startAgent();
    for (const node of this.nodes) await this.startBird(node);
    for (const { podCIDRs } of this.nodes) {
      for (const network of podCIDRs) {
        await until(
          `the router knows ${network}`,
          async () => (await this.tellers(network)).length,
        );
      }
    }
  }

  /** The next agent of a node has a neighbour more, of whom nobody ever heard. */
  addNeighbour({ configFile }: ClusterNode): void {
    // It is what the cluster wrote.
    const config = JSON.parse(readFileSync(configFile, 'utf8')) as { routing: object };
    const another = { name: 'another', address: NOBODY, asn: ROUTER_ASN };
    const routing = { ...config.routing, peers: [...this.#peers, another] };
    writeFileSync(configFile, JSON.stringify({ ...config, routing }));
  }

  /** Neighbours that BIRD of a node talks to, or tries to. */
  neighbours({ netns, birdDirectory }: ClusterNode): number {
    const words = ['-s', join(birdDirectory, 'bird.ctl'), 'show', 'protocols'];
    return netns.run('birdc', ...words).match(/ BGP /g)?.length ?? 0;
  }

  async startBird(node: ClusterNode): Promise<void> {
    this.#birds.set(node.name, await startBirdOf(node));
  }

  /** Ends BIRD of a node at once. */
  async killBird({ name }: ClusterNode): Promise<void> {
    const bird = this.#birds.get(name);
    const ended = new Promise((resolve) => bird?.once('exit', resolve));
    bird?.kill('SIGKILL');
    await ended;
  }

  /** Nodes that tell the router of a network, in order. */
  async tellers(network: string): Promise<readonly string[]> {
    const lines = await this.#router.ask(`show route for ${network}`);
    const names = lines.flatMap(({ text }) => /\[(node\d+)/.exec(text)?.[1] ?? []);
    return names.toSorted();
  }

  /** Since when sessions of the router with a node are up, both families. */
  async sessionsSince({ name }: ClusterNode): Promise<readonly string[]> {
    const lines = await this.#router.ask('show protocols');
    return lines.map(({ text }) => text).filter((text) => text.startsWith(name));
  }

  async remove(): Promise<void> {
    this.#router.remove();
    await this.cluster.remove();
  }
}

/** BIRD with what the agent of the node has written, which is waited for. */
export async function startBirdOf({ netns, birdDirectory }: ClusterNode): Promise<ChildProcess> {
  const file = (leaf: string) => join(birdDirectory, leaf);
  await until('the configuration is there', () => netns.run('cat', file('bird.conf')) !== '');
  const args = ['-f', '-c', file('bird.conf'), '-s', file('bird.ctl')];
  return netns.start('bird', args, { stdio: 'ignore' });
}

function routerConfig(nodes: readonly ClusterNode[], bfd: boolean, fillsKernel: boolean): string {
  const detection = bfd ? 'bfd on; graceful restart off;' : 'hold time 9; graceful restart on;';
  const sessions = nodes.flatMap(({ name, addresses }) =>
    addresses.map((address, i) => {
      const [family, own] = i === 0 ? ['ipv4', ROUTER4] : ['ipv6', ROUTER6];
      const channel = `${family} { import all; export none; }`;
      return `protocol bgp ${name}${i === 0 ? '' : '_6'} {
  local ${own} as ${ROUTER_ASN}; neighbor ${address} as ${NODE_ASN}; direct; ${detection}
  connect delay time 1; connect retry time 2; error wait time 1, 4; ${channel};
}`;
    }),
  );
  const kernels = ['ipv4', 'ipv6'].map((family) => {
    return `protocol kernel { merge paths on; ${family} { export where source = RTS_BGP; }; }`;
  });
  return [
    'router id 192.0.9.9;',
    'protocol device { scan time 2; }',
    ...(bfd ? ['protocol bfd { interface "*" { interval 250 ms; multiplier 3; }; }'] : []),
    ...(fillsKernel ? kernels : []),
    ...sessions,
    '',
  ].join('\n');
}
