/** A node in memory: links, addresses, nft elements, reservations. Any call can be made to fail. */
import { attachmentKey } from '../../../src/cni/attachment.ts';
import type { AttachmentRecord, AttachmentRecords } from '../../../src/cni/attachment-records.ts';
import { MASQUERADE_TABLE } from '../../../src/cni/bridge/masquerade.ts';
import { openForeignIpam } from '../../../src/cni/foreign-ipam.ts';
import type { CniNode, Ipam, Journal, Nftables, ReservationOwner } from '../../../src/cni/node.ts';
import type { PodPolicies } from '../../../src/cni/pod-policies.ts';
import type { Link, LinkAddress, Netns, NodeRtnl, Sysctls } from '../../../src/kernel/types.ts';
import { parseIPWithPrefix } from '../../../src/net/cidr.ts';
import { type IP, ipFamily, parseIP } from '../../../src/net/ip.ts';
import { ipBytes, readIPBytes } from '../../../src/nftables/bytes.ts';
import type { ObservedElement } from '../../../src/nftables/model.ts';
import type { Operation, Transaction } from '../../../src/nftables/transaction.ts';
import { WeftError } from '../../../src/util/errors.ts';

type FakeLink = Link & { readonly netns: string };

export class FakeNode implements CniNode {
  readonly nodeId = 'machine';
  readonly version = '1.2.3';
  /** What the fabric waits for, if anything. */
  awaited: string | undefined;
  readonly fabricGate = { awaited: () => this.awaited };
  /** What the enforcement of policies waits for, if anything. */
  awaitedPolicies: string | undefined;
  readonly policyGate = { awaited: () => this.awaitedPolicies };
  policies?: PodPolicies;
  /** As in the agent: nothing is executed. */
  foreignIpam = openForeignIpam(undefined);
  readonly links: FakeLink[] = [];
  readonly addresses: (LinkAddress & { readonly netns: string; readonly link: number })[] = [];
  readonly neighbours = new Set<string>();
  readonly sysctlValues = new Map<string, string>();
  readonly elements = new Map<string, string>();
  readonly chains = new Set<string>();
  readonly reservations = new Map<IP, string>();
  readonly unfinished = new Set<string>();
  /** What `ipam.owners` tells. */
  owners: readonly ReservationOwner[] = [];
  readonly calls: string[] = [];
  /** The call with this position (from 0) throws. */
  failAt: number | undefined;
  commits = 0;
  #nextIndex = 1;

  constructor() {
    this.#addLink('host', 'lo', undefined);
    this.#addLink('pod', 'lo', undefined);
  }

  /** What a failed ADD or a DEL must bring back; bridge and nft structure are shared and stay. */
  get footprint(): object {
    return {
      links: this.links.filter(({ kind }) => kind === 'veth').map(({ name }) => name),
      neighbours: [...this.neighbours],
      elements: [...this.elements.keys()],
      reservations: [...this.reservations.keys()],
      unfinished: [...this.unfinished],
    };
  }

  readonly #netnsIds: string[] = [];

  netns(id: string): Netns {
    return { fd: this.#netnsIds.push(id) - 1, id, close: () => undefined };
  }

  readonly kernel = {
    netnses: {
      open: (path: string) => this.netns(path),
      adopt: (_fd: number, description: string) => this.netns(description),
      self: () => this.netns('host'),
    },
    openRtnl: (netns?: Netns) => this.#rtnl(netns?.id ?? 'host'),
    sysctls: this.#sysctls(),
    openNftables: (): Nftables => ({
      commit: (transaction: Transaction) => this.#commit(transaction),
      tables: () =>
        this.chains.size > 0 ? [{ ...MASQUERADE_TABLE.definition.table, flags: 0 }] : [],
      chains: () => [],
      hasChain: () => false,
      rules: () => [],
      sets: () => [],
      damagedChains: () => [],
      otherObjects: () => [],
      generation: () => this.commits,
      elements: (_table, { name }) => this.#observed(name),
      close: () => undefined,
    }),
    openConntrack: () => ({
      flows: () => [],
      flowOf: () => undefined,
      clearMarks: () => 0,
      deleteFlows: () => 0,
      close: () => undefined,
    }),
    announce: () => 0,
    claimNetns: () => () => undefined,
    pause: () => undefined,
  };

  readonly hostPorts = {
    record: () => undefined,
    records: () => [],
    isUnfinished: () => false,
    isSpoilt: () => false,
    locked: (): never => {
      throw new Error('no host ports here');
    },
  };

  readonly #records = new Map<string, AttachmentRecord>();
  readonly records: AttachmentRecords = {
    write: (entry) => {
      const record = { ...entry, bootId: 'boot', createdAtMs: 0 };
      this.#records.set(attachmentKey(entry.attachment), record);
    },
    read: (attachment) => this.#records.get(attachmentKey(attachment)),
    amend: () => undefined,
    remove: (attachment) => void this.#records.delete(attachmentKey(attachment)),
    keys: () => [...this.#records.keys()],
    list: (keys = [...this.#records.keys()]) => keys.flatMap((key) => this.#records.get(key) ?? []),
  };

  readonly ipam: Ipam = {
    reserve: (owner) => {
      this.#tick('reserve');
      const address = parseIPWithPrefix('10.1.2.2/24');
      this.reservations.set(parseIP('10.1.2.2'), attachmentKey(owner));
      return { ips: [{ address, gateway: parseIP('10.1.2.1') }], dns: {} };
    },
    held: (owner) => this.#held(attachmentKey(owner)),
    release: (owner) => {
      for (const ip of this.#held(attachmentKey(owner))) this.reservations.delete(ip);
    },
    owners: () => this.owners,
    status: () => this.#tick('status'),
  };

  readonly journal: Journal = {
    isUnfinished: (attachment) => this.unfinished.has(attachmentKey(attachment)),
    begin: (attachment) => this.unfinished.add(attachmentKey(attachment)),
    end: (attachment) => this.unfinished.delete(attachmentKey(attachment)),
    netnsOf: () => undefined,
    unfinished: () => [],
  };

  #observed(set: string): readonly ObservedElement[] {
    const family = set.endsWith('ip6') ? 6 : 4;
    return [...this.elements].flatMap(([text, data]) => {
      const address = parseIP(text);
      return ipFamily(address) === family ? [{ key: ipBytes(address), data }] : [];
    });
  }

  #held(key: string): readonly IP[] {
    return [...this.reservations].filter(([, owner]) => owner === key).map(([ip]) => ip);
  }

  #tick(call: string): void {
    const position = this.calls.push(call) - 1;
    if (position === this.failAt) throw new Error(`injected into ${call}`);
  }

  #addLink(netns: string, name: string, kind: string | undefined, change: Partial<Link> = {}) {
    if (this.links.some((link) => link.netns === netns && link.name === name)) {
      throw new WeftError('EEXIST', `${name} exists`);
    }
    const index = this.#nextIndex++;
    const link: FakeLink = {
      index,
      name,
      kind,
      netns,
      mac: undefined,
      mtu: 1500,
      isUp: false,
      operState: 'down',
      isPromiscuous: false,
      master: undefined,
      peerIndex: undefined,
      alias: undefined,
      ...change,
    };
    this.links.push(link);
    return index;
  }

  #change(index: number, change: Partial<Link>): void {
    const position = this.links.findIndex((link) => link.index === index);
    const link = this.links[position];
    if (link === undefined) throw new WeftError('ENODEV', `no link ${index}`);
    this.links[position] = { ...link, ...change };
  }

  /** Both ends of a veth go together, with their addresses. */
  #deleteLink(index: number): boolean {
    const gone = this.links.filter((link) => link.index === index || link.peerIndex === index);
    for (const link of gone) this.links.splice(this.links.indexOf(link), 1);
    const indexes = gone.map((link) => link.index);
    const left = this.addresses.filter(({ link }) => !indexes.includes(link));
    this.addresses.splice(0, this.addresses.length, ...left);
    return gone.length > 0;
  }

  #rtnl(netns: string): NodeRtnl {
    const visible = () => this.links.filter((link) => link.netns === netns);
    const unused = (): never => {
      throw new Error('not used by the plugin');
    };
    return {
      link: (name) => visible().find((link) => link.name === name),
      linkByIndex: (index) => visible().find((link) => link.index === index),
      links: visible,
      createBridge: ({ name, mac }) => {
        this.#tick('createBridge');
        return this.#addLink(netns, name, 'bridge', { mac }) > 0;
      },
      createVeth: ({ host, pod, master }) => {
        this.#tick('createVeth');
        const peer = this.#addLink(this.#netnsIds[pod.netns.fd] ?? '', pod.name, 'veth', {
          mac: pod.mac,
        });
        const index = this.#addLink(netns, host.name, 'veth', {
          mac: host.mac,
          master,
          peerIndex: peer,
          isUp: true,
          operState: 'up',
        });
        this.#change(peer, { peerIndex: index });
      },
      changeLink: (index, change) => {
        this.#tick('changeLink');
        this.#change(index, change);
      },
      changeBridgePort: () => this.#tick('changeBridgePort'),
      deleteLink: (index) => this.#deleteLink(index),
      addresses: (index) => this.addresses.filter(({ link }) => link === index),
      addAddress: (index, address) => {
        this.#tick('addAddress');
        this.addresses.push({ scope: 'global', ...address, netns, link: index });
        return true;
      },
      deleteAddress: (index, { address }) => {
        const at = this.addresses.findIndex((a) => a.link === index && a.address === address);
        return this.addresses.splice(at, 1).length > 0;
      },
      routes: () => [],
      addRoute: () => {
        this.#tick('addRoute');
        return true;
      },
      replaceRoute: unused,
      deleteRoute: unused,
      setNeighbour: (_index, address) => {
        this.#tick('setNeighbour');
        this.neighbours.add(address);
      },
      deleteNeighbour: (_index, address) => this.neighbours.delete(address),
      proxyNeighbours: unused,
      setProxyNeighbour: unused,
      deleteProxyNeighbour: () => false,
      deleteLinks: (indexes) => {
        for (const index of indexes) this.#deleteLink(index);
      },
      changeBridge: unused,
      portVlans: () => [],
      addPortVlans: unused,
      deletePortVlans: unused,
      createDummy: unused,
      createVxlan: unused,
      neighbours: () => [],
      forwardingEntries: () => [],
      applyEntries: unused,
      createIfb: unused,
      setTokenBucket: unused,
      tokenBucket: () => undefined,
      deleteTokenBucket: () => false,
      redirectIngress: unused,
      ingressRedirect: () => undefined,
      deleteIngressRedirect: () => false,
      close: () => undefined,
    };
  }

  #sysctls(): Sysctls {
    return {
      read: (netns, path) => this.sysctlValues.get(`${netns?.id ?? 'host'} ${path}`) ?? '0',
      write: (netns, path, value) => {
        this.#tick('writeSysctl');
        this.sysctlValues.set(`${netns?.id ?? 'host'} ${path}`, value);
      },
    };
  }

  /** As the kernel: all or nothing, ENOENT for what is missing, EEXIST for what differs. */
  #commit({ operations }: Transaction): void {
    this.commits += 1;
    const before = [new Map(this.elements), new Set(this.chains)] as const;
    try {
      for (const operation of operations) this.#applyOperation(operation);
    } catch (thrown) {
      this.elements.clear();
      for (const [key, value] of before[0]) this.elements.set(key, value);
      this.chains.clear();
      for (const chain of before[1]) this.chains.add(chain);
      throw thrown;
    }
  }

  #applyOperation(operation: Operation): void {
    switch (operation.kind) {
      case 'addChain':
        this.#tick('commitChain');
        if (this.chains.has(operation.chain.name)) throw new WeftError('EEXIST', 'chain');
        this.chains.add(operation.chain.name);
        return;
      case 'addElements':
        this.#tick('commitElements');
        for (const { key, data = '' } of operation.elements) this.#addElement(key, data);
        return;
      case 'deleteElements':
        for (const { key } of operation.elements) {
          if (!this.elements.delete(textOf(key))) throw new WeftError('ENOENT', 'element');
        }
        return;
      default:
    }
  }

  #addElement(key: string, data: string): void {
    if (!this.chains.has(data.replace('goto ', ''))) throw new WeftError('ENOENT', data);
    const present = this.elements.get(textOf(key));
    if (present !== undefined && present !== data) throw new WeftError('EEXIST', 'element');
    this.elements.set(textOf(key), data);
  }
}

function textOf(key: string): string {
  return readIPBytes(key, 0, key.length === 4 ? 4 : 6);
}
