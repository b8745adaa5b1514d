/** BIRD on nodes of a lab, each told what to do by a Speaker in this process. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openConfigFiles } from '../../src/agent/routing/config-files.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import { planBird } from '../../src/routing/bird-config.ts';
import type { BirdSession } from '../../src/routing/bird-reply.ts';
import { type AskBird, openBirdSocket } from '../../src/routing/bird-socket.ts';
import type { RoutedNode, RoutingFacts } from '../../src/routing/facts.ts';
import { EVERY_NODE } from '../../src/routing/node-selector.ts';
import type { BgpSettings, PeerSettings } from '../../src/routing/settings.ts';
import { Speaker } from '../../src/routing/speaker.ts';
import { systemClock } from '../../src/util/clock.ts';
import { recordingLog } from './kube.ts';
import type { TestNetns } from './netns.ts';
import { until } from './until.ts';

export const BGP: BgpSettings = {
  ...{ asn: 64_512, topology: 'none', reflectors: EVERY_NODE, communities: [], bfd: true },
  ...{ advertise: new Set(['podCIDRs'] as const), peers: [] },
};

/** `routedNode('n1', ['10.244.1.0/24'], ['192.0.2.1'])` */
export function routedNode(
  name: string,
  podCIDRs: readonly string[],
  addresses: readonly string[],
  more: Partial<RoutedNode> = {},
): RoutedNode {
  return {
    ...{ name, labels: {}, podCIDRs: podCIDRs.map(parseCidr), addresses: addresses.map(parseIP) },
    ...more,
  };
}

/** A neighbour of every node, from which nothing is taken. */
export function peer(
  name: string,
  address: string,
  asn: number,
  more: Partial<PeerSettings> = {},
): PeerSettings {
  return {
    ...{ name, asn, address: parseIP(address), nodes: EVERY_NODE, bfd: false },
    ...{ imports: [], communities: [], ...more },
  };
}

export function facts(
  nodeName: string,
  nodes: readonly RoutedNode[],
  more: Partial<RoutingFacts> = {},
): RoutingFacts {
  return {
    ...{ nodeName, nodes, families: [4, 6], services: [], passwords: new Map(), linkNetworks: [] },
    ...more,
  };
}

const SAID_CHARACTERS = 4_000;

/** A BIRD that is told by weft. */
export class LabBird {
  readonly netns: TestNetns;
  readonly directory = mkdtempSync(join(tmpdir(), 'wt-bird-'));
  readonly ask: AskBird;
  readonly speaker: Speaker;
  readonly logged: () => string;
  settings: BgpSettings;
  facts: RoutingFacts;
  #process: ChildProcess | undefined;
  /** The last that BIRD logged. */
  #said = '';

  constructor(netns: TestNetns, settings: BgpSettings, known: RoutingFacts) {
    this.netns = netns;
    this.settings = settings;
    this.facts = known;
    this.ask = openBirdSocket(join(this.directory, 'bird.ctl'));
    const { log, text } = recordingLog();
    this.logged = text;
    this.speaker = new Speaker({
      ...{ files: openConfigFiles(this.directory, 0), askBird: this.ask, clock: systemClock, log },
      plan: () => planBird(this.settings, this.facts),
    });
  }

  /** Starts BIRD with what is in the file, which is written first if need be. */
  async start(): Promise<void> {
    this.speaker.trigger();
    await until('the file is there', () => existsSync(join(this.directory, 'bird.conf')));
    await this.startBird();
    this.speaker.trigger();
  }

  async startBird(): Promise<void> {
    const file = (name: string) => join(this.directory, name);
    // As its pod and its unit do it.
    const again = existsSync(file('bird.ctl')) ? ['-R'] : [];
    const args = [...again, '-f', '-c', file('bird.conf'), '-s', file('bird.ctl')];
    const child = this.netns.start('bird', args);
    // A pipe that nobody reads is full some day, and BIRD waits for it.
    child.stderr?.on(
      'data',
      (chunk) => (this.#said = `${this.#said}${chunk}`.slice(-SAID_CHARACTERS)),
    );
    this.#process = child;
    await until('BIRD answers', async () => (await this.ask('show status')).length > 0);
  }

  /** Ends BIRD at once. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`BIRD of ${this.netns.name} has ended by itself: ${this.#said}`);
    }
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  tell(change: {
    readonly settings?: Partial<BgpSettings>;
    readonly facts?: Partial<RoutingFacts>;
  }) {
    this.settings = { ...this.settings, ...change.settings };
    this.facts = { ...this.facts, ...change.facts };
    this.speaker.trigger();
  }

  async session(name: string): Promise<BirdSession | undefined> {
    const sessions = await this.speaker.sessions();
    const symbols = planBird(this.settings, this.facts)
      .sessions.filter((session) => session.name === name)
      .map(({ symbol }) => symbol);
    return sessions.find(({ symbol }) => symbols.includes(symbol));
  }

  async established(): Promise<number> {
    const sessions = await this.speaker.sessions();
    return sessions.filter(({ state }) => state === 'Established').length;
  }

  /** Gateways of a route in the kernel. */
  gateways(network: string): readonly string[] {
    const family = network.includes(':') ? '-6' : '-4';
    type Hop = { readonly gateway?: string };
    const routes = this.netns.ip<(Hop & { readonly nexthops?: readonly Hop[] })[]>(
      ...[family, 'route', 'show', network],
    );
    return routes
      .flatMap(({ nexthops, ...route }): readonly Hop[] => nexthops ?? [route])
      .flatMap(({ gateway }) => gateway ?? [])
      .toSorted();
  }

  async remove(): Promise<void> {
    await this.speaker.stop();
    await this.kill();
    rmSync(this.directory, { recursive: true });
  }
}

/** A router that weft does not configure. */
export function startRouter(
  netns: TestNetns,
  config: string,
): { readonly ask: AskBird; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'wt-bird-router-'));
  const [file, socket] = [join(directory, 'bird.conf'), join(directory, 'bird.ctl')];
  writeFileSync(file, config);
  const child = netns.start('bird', ['-f', '-c', file, '-s', socket], { stdio: 'ignore' });
  return {
    ask: openBirdSocket(socket),
    remove() {
      child.kill('SIGKILL');
      rmSync(directory, { recursive: true });
    },
  };
}
