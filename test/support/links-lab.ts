/** Nodes on one LAN with a client that asks, by ARP and neighbour discovery, who has an address. */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RoutingStatus } from '../../src/agent/status/routing-status.ts';
import { WEFT_BINARY } from './cluster.ts';
import { connect, createNetns, type TestNetns } from './netns.ts';

export interface LinkNode {
  readonly name: string;
  readonly netns: TestNetns;
  readonly mac: string;
  readonly runDir: string;
  agent: ChildProcess | undefined;
}

export const CLIENT_ADDRESS = '192.0.2.254';

/** Nodes `node-1` and so on, each at 192.0.2.N and 2001:db8::N; the client is their default router. */
export class LinksLab {
  readonly directory = mkdtempSync(join(tmpdir(), 'wt-links-'));
  readonly client: TestNetns;
  readonly nodes: readonly LinkNode[];

  constructor(count: number) {
    this.client = createNetns('ln-c');
    this.client.batch([
      'link add lan type bridge',
      'link set lan up',
      `addr add ${CLIENT_ADDRESS}/24 dev lan`,
      'addr add 2001:db8::fe/64 dev lan nodad',
    ]);
    this.nodes = Array.from({ length: count }, (_, i) => this.#makeNode(i + 1));
  }

  /** With this beside what says who and where it is. */
  start(
    node: LinkNode,
    config: { readonly routing?: object; readonly [key: string]: unknown },
  ): void {
    const file = join(this.directory, `${node.name}.json`);
    const { routing, ...more } = config;
    const whole = {
      ...{ components: ['proxy', 'routing'], nodeName: node.name, runDir: node.runDir },
      ...{ stateDir: `${node.runDir}-state`, ...more },
      routing: { directory: join(node.runDir, 'bird'), announceOnLinks: true, ...routing },
    };
    writeFileSync(file, JSON.stringify(whole));
    node.agent = node.netns.start(WEFT_BINARY, ['agent', '--config', file]);
    node.agent.stderr?.resume();
  }

  async kill(node: LinkNode): Promise<void> {
    const ended = new Promise((resolve) => node.agent?.once('exit', resolve));
    node.agent?.kill('SIGKILL');
    await ended;
  }

  /** Which hardware address the client finds for an address; it asks anew. */
  found(address: string): string | undefined {
    this.client.attempt('ip', ['neigh', 'flush', 'to', address, 'dev', 'lan']);
    this.client.attempt('ping', ['-c1', '-W0.3', '-n', address]);
    return this.known(address);
  }

  known(address: string): string | undefined {
    const [entry] = this.client.ip<{ lladdr?: string }[]>('neigh', 'show', address, 'dev', 'lan');
    return entry?.lladdr;
  }

  status(node: LinkNode): RoutingStatus {
    const args = ['bgp', '--run-dir', node.runDir, '--output', 'json'];
    // The shape is the test's to read; a wrong one fails its assertions.
    return JSON.parse(node.netns.attempt(WEFT_BINARY, args).stdout) as RoutingStatus;
  }

  with(mac: string | undefined): LinkNode | undefined {
    return this.nodes.find((node) => node.mac === mac);
  }

  /** Kills what still runs in the namespaces. */
  remove(): void {
    for (const node of this.nodes) node.netns.remove();
    this.client.remove();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #makeNode(n: number): LinkNode {
    const netns = createNetns(`ln-${n}`);
    connect({ netns, link: 'eth0' }, { netns: this.client, link: `to-${n}` });
    this.client.run('ip', 'link', 'set', `to-${n}`, 'master', 'lan');
    netns.batch([
      `addr add 192.0.2.${n}/24 dev eth0`,
      `addr add 2001:db8::${n}/64 dev eth0 nodad`,
      `route add default via ${CLIENT_ADDRESS}`,
    ]);
    const [link] = netns.ip<{ address: string }[]>('link', 'show', 'eth0');
    const name = `node-${n}`;
    const runDir = join(this.directory, name);
    return { name, netns, mac: link?.address ?? '', runDir, agent: undefined };
  }
}
