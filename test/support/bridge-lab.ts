/** A node in a namespace whose plugin runs in this process: real links and rules. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runVerb, runVerbs } from '../../src/cni/call.ts';
import { openForeignIpam } from '../../src/cni/foreign-ipam.ts';
import { openLocalNode } from '../../src/cni/local-node.ts';
import type { CniNode, Nftables } from '../../src/cni/node.ts';
import type { PodPolicies } from '../../src/cni/pod-policies.ts';
import { openIptables } from '../../src/iptables/programs-sync.ts';
import { announce } from '../../src/kernel/announce.ts';
import { openConntrack } from '../../src/kernel/conntrack.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import { sysctls } from '../../src/kernel/sysctls.ts';
import type { NodeRtnl } from '../../src/kernel/types.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { createNetns, type TestNetns } from './netns.ts';

/** The parts of a result that tests read. */
export interface LabResult {
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac: string;
    readonly mtu?: number;
    readonly sandbox?: string;
  }[];
  readonly ips?: readonly { readonly address: string; readonly gateway?: string }[];
}

export interface LabCall {
  readonly id?: string;
  readonly pod?: TestNetns;
  readonly ifName?: string;
  readonly args?: string;
}

export class BridgeLab {
  readonly host = createNetns('host');
  readonly directory = mkdtempSync(join(tmpdir(), 'wt-bridge-'));
  readonly hostNetns = netnses.open(this.host.path);
  /** rtnetlink of the node. */
  readonly rtnl: NodeRtnl = openRtnl(this.hostNetns);
  readonly node: CniNode & { policies?: PodPolicies } = this.#openNode();
  readonly #pods: TestNetns[] = [];
  readonly #results = new Map<string, unknown>();
  #nftables: NftablesConnection | undefined;

  pod(): TestNetns {
    const pod = createNetns('pod');
    this.#pods.push(pod);
    return pod;
  }

  /** An IPv4 network of type bridge in 1.1.0, with what the test changes. */
  config(change: object = {}): Record<string, unknown> {
    const ipam = { type: 'host-local', dataDir: this.directory, subnet: '10.22.0.0/24' };
    return {
      ...{ cniVersion: '1.1.0', name: 'net', type: 'bridge', bridge: 'br0' },
      ...{ isDefaultGateway: true, ipam },
      ...change,
    };
  }

  /** The same with an IPv6 subnet beside. */
  dualStack(change: object = {}): Record<string, unknown> {
    const ranges = [[{ subnet: '10.22.0.0/24' }], [{ subnet: 'fd00:22::/64' }]];
    const ipam = { type: 'host-local', dataDir: this.directory, ranges };
    return this.config({ ipam, ...change });
  }

  add(config: object, call: LabCall = {}): LabResult {
    const text = this.#succeed('ADD', config, call);
    const result: unknown = JSON.parse(text);
    this.#results.set(keyOf(call), result);
    // The plugin's own format; a test that reads what is not there fails.
    return result as LabResult;
  }

  del(config: object, call: LabCall = {}): void {
    this.#succeed('DEL', config, call);
  }

  /** With the result of the ADD as prevResult. */
  check(config: object, call: LabCall = {}): void {
    this.#succeed('CHECK', { ...config, prevResult: this.#results.get(keyOf(call)) }, call);
  }

  status(config: object): void {
    this.#succeed('STATUS', config, {});
  }

  gc(config: object, valid: readonly string[]): void {
    const attachments = valid.map((containerID) => ({ containerID, ifname: 'eth0' }));
    this.#succeed('GC', { ...config, 'cni.dev/valid-attachments': attachments }, {});
  }

  /** DELs that came in the same moment, by container. */
  delTogether(config: object, ids: readonly string[], node = this.node): readonly number[] {
    const invocations = ids.map((id) => this.#invocation('DEL', config, { id }));
    return runVerbs(invocations, node).map(({ exitCode }) => exitCode);
  }

  /** The error object of a call that must fail. */
  failure(verb: string, config: object, call: LabCall = {}): { code: number; msg: string } {
    const prevResult = this.#results.get(keyOf(call));
    const stdin = verb === 'CHECK' ? { ...config, prevResult } : config;
    const { exitCode, stdout } = runVerb(this.#invocation(verb, stdin, call), this.node);
    if (exitCode === 0) throw new Error(`${verb} succeeded: ${stdout}`);
    return JSON.parse(stdout);
  }

  /** Names of ports of a bridge. */
  ports(bridge = 'br0'): string[] {
    return this.host
      .ip<{ ifname: string }[]>('link', 'show', 'master', bridge)
      .map(({ ifname }) => ifname);
  }

  /** What `ip -details` says of a link of the node. */
  link(name: string): Record<string, unknown> {
    return this.host.ip<Record<string, unknown>[]>('-details', 'link', 'show', name)[0] ?? {};
  }

  nft(...args: string[]): string {
    return this.host.run('nft', '-s', ...args);
  }

  remove(): void {
    this.#nftables?.close();
    this.rtnl.close();
    this.hostNetns.close();
    for (const pod of this.#pods) pod.remove();
    this.host.remove();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #succeed(verb: string, config: object, call: LabCall): string {
    const { exitCode, stdout } = runVerb(this.#invocation(verb, config, call), this.node);
    if (exitCode !== 0) throw new Error(`${verb}: ${stdout}`);
    return stdout;
  }

  #invocation(verb: string, config: object, call: LabCall) {
    const env = {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: call.id ?? 'pod-1',
      CNI_NETNS: call.pod?.path ?? '',
      CNI_IFNAME: call.ifName ?? 'eth0',
      CNI_ARGS: call.args ?? '',
      CNI_PATH: '/usr/lib/cni',
    };
    return { env, readStdin: () => Buffer.from(JSON.stringify(config)) };
  }

  /** The machine this test runs on, with the test's namespace as its own. */
  #openNode(): CniNode {
    const { hostNetns } = this;
    const local = openLocalNode({
      runDirectory: join(this.directory, 'run'),
      isLongLived: true,
      version: 'test',
    });
    const use = (): NftablesConnection => {
      this.#nftables ??= NftablesConnection.open({ netns: hostNetns });
      return this.#nftables;
    };
    const nftables: Nftables = {
      commit: (transaction) => use().commit(transaction),
      generation: () => use().generation(),
      tables: (family) => use().tables(family),
      chains: (table) => use().chains(table),
      hasChain: (table, chain) => use().hasChain(table, chain),
      rules: (table, chain) => use().rules(table, chain),
      sets: (table) => use().sets(table),
      damagedChains: (table, chains) => use().damagedChains(table, chains),
      otherObjects: (table) => use().otherObjects(table),
      elements: (table, set) => use().elements(table, set),
      close: () => undefined,
    };
    return {
      ...local,
      // Nobody else waits for this process.
      foreignIpam: { ...openForeignIpam(undefined), canExec: true },
      kernel: {
        ...local.kernel,
        netnses: { ...netnses, self: () => netnses.open(this.host.path) },
        openRtnl: (netns) => openRtnl(netns ?? hostNetns),
        sysctls: {
          read: (netns, path) => sysctls.read(netns ?? hostNetns, path),
          write: (netns, path, value) => sysctls.write(netns ?? hostNetns, path, value),
        },
        openNftables: () => nftables,
        openConntrack: () => openConntrack(hostNetns),
        announce: (announcements) => announce(hostNetns, announcements),
        iptables: openIptables(['nsenter', `--net=${this.host.path}`]),
      },
    };
  }
}

function keyOf({ id = 'pod-1', ifName = 'eth0' }: LabCall): string {
  return `${id}/${ifName}`;
}
