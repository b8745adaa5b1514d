/**
 * A node with a bridge, pods on it and a client outside, for tests of host ports alone: pods get
 * addresses from the test, and the member is called in this process.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CniNode, Nftables } from '../../src/cni/node.ts';
import type { NetnsCall } from '../../src/cni/plugin.ts';
import { portmap } from '../../src/cni/portmap/portmap.ts';
import { openHostPortStore } from '../../src/cni/portmap/store.ts';
import type { Request, Verb } from '../../src/cni/protocol/request.ts';
import type { Result } from '../../src/cni/protocol/result.ts';
import { openConntrack } from '../../src/kernel/conntrack.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import { sysctls } from '../../src/kernel/sysctls.ts';
import type { Sysctls } from '../../src/kernel/types.ts';
import { parseIPWithPrefix } from '../../src/net/cidr.ts';
import { wire } from '../../src/netlink/wire.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { connect, createNetns, type TestNetns } from './netns.ts';

export interface LabPod {
  readonly netns: TestNetns;
  readonly id: string;
  readonly previous: Result;
}

export interface CallOptions {
  readonly portMappings?: readonly object[];
  /** Further keys of the network configuration. */
  readonly config?: object;
  readonly network?: string;
  readonly args?: string;
}

/** A mapping to port 8080 of the pod, of TCP unless changed. */
export function tcp(hostPort: number, change: object = {}): object {
  return { hostPort, containerPort: 8080, protocol: 'tcp', ...change };
}

export class PortmapLab {
  readonly host = createNetns('host');
  readonly client = createNetns('out');
  readonly directory = mkdtempSync(join(tmpdir(), 'wt-hostports-'));
  readonly hostNetns = netnses.open(this.host.path);
  readonly connection = NftablesConnection.open({ netns: this.hostNetns });
  readonly store = openHostPortStore(join(this.directory, 'hostports'), {
    flock: wire.flock,
    timeoutMs: 5000,
  });
  readonly node = this.#node();
  readonly #pods: LabPod[] = [];

  constructor() {
    const { host } = this;
    for (const netns of [host, this.client]) skipDad(netns);
    host.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
    host.run('ip', 'link', 'set', 'br0', 'up');
    host.run('ip', 'addr', 'add', '10.22.0.1/24', 'dev', 'br0');
    host.run('ip', 'addr', 'add', 'fd00:22::1/64', 'dev', 'br0', 'nodad');
    host.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    connect(
      { netns: host, link: 'up0', addresses: ['203.0.113.1/24', '2001:db8:113::1/64'] },
      { netns: this.client, link: 'up0', addresses: ['203.0.113.9/24', '2001:db8:113::9/64'] },
    );
  }

  /** A pod with the addresses 10.22.0.<n> and fd00:22::<n>; its port of the bridge may hairpin. */
  pod(n: number, id = `pod-${n}`): LabPod {
    const netns = createNetns('pod');
    skipDad(netns);
    const addresses = [`10.22.0.${n}/24`, `fd00:22::${n}/64`];
    const link = `v${this.#pods.length}`;
    connect({ netns: this.host, link }, { netns, link: 'eth0', addresses });
    this.host.run('ip', 'link', 'set', link, 'master', 'br0');
    this.host.run('bridge', 'link', 'set', 'dev', link, 'hairpin', 'on');
    netns.run('ip', 'route', 'add', 'default', 'via', '10.22.0.1');
    netns.run('ip', 'route', 'add', 'default', 'via', 'fd00:22::1');
    const previous: Result = {
      interfaces: [{ name: 'br0' }, { name: link }, { name: 'eth0', sandbox: netns.path }],
      ips: addresses.map((text) => ({ address: parseIPWithPrefix(text), interface: 2 })),
      routes: [],
      dns: {},
    };
    const pod = { netns, id, previous };
    this.#pods.push(pod);
    return pod;
  }

  /** What the member is called with. */
  call(verb: Verb, pod: LabPod, options: CallOptions = {}): NetnsCall {
    const network = options.network ?? 'net';
    const request: Request = {
      verb,
      containerId: pod.id,
      netnsPath: pod.netns.path,
      ifName: 'eth0',
      args: options.args ?? '',
      env: {},
      stdin: Buffer.alloc(0),
      path: [],
      mayUseOwnNetns: false,
      cniVersion: '1.1.0',
      network,
      config: {
        name: network,
        type: 'portmap',
        runtimeConfig: { portMappings: options.portMappings ?? [] },
        ...options.config,
      },
    };
    const attachment = { network, containerId: pod.id, ifName: 'eth0' };
    const netns = { fd: -1, id: pod.netns.path, close: () => undefined };
    return { request, node: this.node, attachment, netns };
  }

  add(pod: LabPod, options: CallOptions): Result {
    return portmap.add(this.call('ADD', pod, options), pod.previous, []);
  }

  del(pod: LabPod, options: CallOptions = {}): void {
    portmap.del(this.call('DEL', pod, options));
  }

  check(pod: LabPod, options: CallOptions): void {
    portmap.check(this.call('CHECK', pod, options), pod.previous);
  }

  nft(...args: string[]): string {
    return this.host.run('nft', '-s', ...args);
  }

  remove(): void {
    this.connection.close();
    this.hostNetns.close();
    for (const { netns } of this.#pods) netns.remove();
    this.client.remove();
    this.host.remove();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #node(): CniNode {
    const { hostNetns } = this;
    // As in the agent: one connection for all calls.
    const shared: Nftables = {
      commit: (transaction) => this.connection.commit(transaction),
      generation: () => this.connection.generation(),
      tables: (family) => this.connection.tables(family),
      chains: (table) => this.connection.chains(table),
      hasChain: (table, chain) => this.connection.hasChain(table, chain),
      rules: (table, chain) => this.connection.rules(table, chain),
      sets: (table) => this.connection.sets(table),
      damagedChains: (table, chains) => this.connection.damagedChains(table, chains),
      otherObjects: (table) => this.connection.otherObjects(table),
      elements: (table, set) => this.connection.elements(table, set),
      close: () => undefined,
    };
    const unused = (): never => {
      throw new Error('host ports do not need this');
    };
    const inHost: Sysctls = {
      read: (netns, path) => sysctls.read(netns ?? hostNetns, path),
      write: (netns, path, value) => sysctls.write(netns ?? hostNetns, path, value),
    };
    return {
      kernel: {
        netnses,
        openRtnl: (netns) => openRtnl(netns ?? hostNetns),
        sysctls: inHost,
        openNftables: () => shared,
        openConntrack: () => openConntrack(hostNetns),
        announce: unused,
        claimNetns: unused,
        pause: unused,
      },
      ipam: { reserve: unused, held: unused, release: unused, owners: unused, status: unused },
      journal: {
        unfinished: unused,
        isUnfinished: unused,
        netnsOf: unused,
        begin: unused,
        end: unused,
      },
      hostPorts: this.store,
      version: 'test',
      nodeId: 'machine',
      fabricGate: { awaited: () => undefined },
      policyGate: { awaited: () => undefined },
    };
  }
}

/** IPv6 addresses of links made from now on, the link-local ones too, are usable at once. */
function skipDad(netns: TestNetns): void {
  netns.run('sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0');
}
