/**
 * A node and pods on veths, for tests of one chain member alone: the member is called in this
 * process, with the kernel of throw-away namespaces.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CniNode } from '../../src/cni/node.ts';
import type { GcCall, NetnsCall } from '../../src/cni/plugin.ts';
import type { Request, Verb } from '../../src/cni/protocol/request.ts';
import type { Result } from '../../src/cni/protocol/result.ts';
import { openConntrack } from '../../src/kernel/conntrack.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import { sysctls } from '../../src/kernel/sysctls.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { parseIPWithPrefix } from '../../src/net/cidr.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { connect, createNetns, type TestNetns } from './netns.ts';

export interface MemberPod {
  readonly id: string;
  readonly netns: TestNetns;
  readonly open: Netns;
  /** Name of the node's end of the pair. */
  readonly hostEnd: string;
  readonly previous: Result;
}

export interface MemberCall {
  readonly network?: string;
  readonly ifName?: string;
  readonly args?: string;
}

export class MemberLab {
  readonly host = createNetns('host');
  readonly hostNetns = netnses.open(this.host.path);
  readonly directory = mkdtempSync(join(tmpdir(), 'wt-member-'));
  readonly node = this.#node();
  readonly #pods: MemberPod[] = [];

  /** A pod with 10.22.<n>.2/24 and fd00:22:<n>::2/64, the node being .1 and ::1 there. */
  pod(n: number): MemberPod {
    const netns = createNetns('pod');
    const hostEnd = `v${n}`;
    const addresses = [`10.22.${n}.2/24`, `fd00:22:${n}::2/64`];
    connect(
      {
        netns: this.host,
        link: hostEnd,
        addresses: [`10.22.${n}.1/24`, `fd00:22:${n}::1/64`],
      },
      { netns, link: 'eth0', addresses },
    );
    netns.run('ip', 'route', 'add', 'default', 'via', `10.22.${n}.1`);
    netns.run('ip', 'route', 'add', 'default', 'via', `fd00:22:${n}::1`);
    const previous: Result = {
      interfaces: [{ name: 'lo' }, { name: hostEnd }, { name: 'eth0', sandbox: netns.path }],
      ips: addresses.map((text) => ({ address: parseIPWithPrefix(text), interface: 2 })),
      routes: [],
      dns: {},
    };
    const id = `pod-${n}`;
    const pod = { id, netns, open: netnses.open(netns.path), hostEnd, previous };
    this.#pods.push(pod);
    return pod;
  }

  /** What the member is called with; `config` without the name of the network. */
  call(verb: Verb, pod: MemberPod, config: object, options: MemberCall = {}): NetnsCall {
    const { ifName = 'eth0', network = 'net' } = options;
    const request = this.#request(verb, config, options);
    return {
      request: { ...request, containerId: pod.id, netnsPath: pod.netns.path, ifName },
      node: this.node,
      attachment: { network, containerId: pod.id, ifName },
      netns: pod.open,
    };
  }

  /** GC with the given pods' `eth0` as the only valid attachments. */
  gcCall(valid: readonly MemberPod[], config: object = {}, options: MemberCall = {}): GcCall {
    const ids = valid.map(({ id }) => id);
    return {
      request: this.#request('GC', config, options),
      node: this.node,
      isValid: ({ containerId, ifName }) => ids.includes(containerId) && ifName === 'eth0',
      isValidContainer: (containerId) => ids.includes(containerId),
    };
  }

  remove(): void {
    this.hostNetns.close();
    for (const { netns, open } of this.#pods) {
      open.close();
      netns.remove();
    }
    this.host.remove();
    rmSync(this.directory, { recursive: true, force: true });
  }

  #request(verb: Verb, config: object, { network = 'net', args = '' }: MemberCall): Request {
    return {
      verb,
      containerId: '',
      netnsPath: '',
      ifName: '',
      args,
      path: [],
      mayUseOwnNetns: false,
      cniVersion: '1.1.0',
      network,
      config: { name: network, ...config },
      env: {},
      stdin: Buffer.alloc(0),
    };
  }

  #node(): CniNode {
    const { hostNetns } = this;
    const unused = (): never => {
      throw new Error('not for chain members');
    };
    const node: Omit<CniNode, 'ipam' | 'journal' | 'hostPorts'> = {
      kernel: {
        netnses,
        openRtnl: (netns) => openRtnl(netns ?? hostNetns),
        sysctls: {
          read: (netns, path) => sysctls.read(netns ?? hostNetns, path),
          write: (netns, path, value) => sysctls.write(netns ?? hostNetns, path, value),
        },
        openNftables: () => NftablesConnection.open({ netns: hostNetns }),
        openConntrack: () => openConntrack(hostNetns),
        announce: unused,
        claimNetns: unused,
        pause: unused,
      },
      version: 'test',
      nodeId: 'machine',
      fabricGate: { awaited: () => undefined },
      policyGate: { awaited: () => undefined },
    };
    const refuse = new Proxy({}, { get: unused });
    // A member that uses anything else of these fails: nothing of them belongs to it.
    const ipam = { owners: () => [] };
    return { ...node, ipam, journal: refuse, hostPorts: refuse } as unknown as CniNode;
  }
}
