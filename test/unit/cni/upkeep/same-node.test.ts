import { describe, expect, test } from 'vitest';
import { type Attachment, hostVethName, vethMacs } from '../../../../src/cni/attachment.ts';
import type { AttachmentRecord } from '../../../../src/cni/attachment-records.ts';
import type { NodePlan } from '../../../../src/cni/node-plan.ts';
import {
  conversionsOf,
  findBypasses,
  type SameNodeFacts,
} from '../../../../src/cni/upkeep/same-node.ts';
import type { Link } from '../../../../src/kernel/types.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { parseMac } from '../../../../src/net/mac.ts';
import { planOf, recordOf } from './builders.ts';

const attachmentOf = (containerId: string): Attachment => {
  return { network: 'net', containerId, ifName: 'eth0' };
};
const [a, b] = [attachmentOf('a'), attachmentOf('b')];
const v4 = parseIP('10.0.0.2');
const v6 = parseIP('fd00::2');
const bridgeMac = parseMac('02:00:00:00:00:01');

function linkOf(index: number, name: string, kind: string, change: Partial<Link> = {}): Link {
  return {
    ...{ index, name, kind, mac: undefined, mtu: 1500, isUp: true, operState: 'up' as const },
    ...{ isPromiscuous: false, master: undefined, peerIndex: undefined, alias: undefined },
    ...change,
  };
}

const bridge = linkOf(2, 'cni0', 'bridge', { mac: bridgeMac });
const portOf = (attachment: Attachment, index: number, isolated: boolean, change = {}) =>
  linkOf(index, hostVethName(attachment), 'veth', {
    ...{ master: 2, port: { hairpin: false, isolated } },
    ...change,
  });
const open = portOf(a, 3, false);
const isolated = portOf(a, 3, true);

const empty: SameNodeFacts = {
  ...{ links: [bridge, open], proxies: [], neighbours: [], routes: [], bridgedFamilies: [] },
  unfinishedPorts: new Set(),
};

const senders = { macs: [vethMacs(a).pod], addresses: [v4, v6] };

function recordWith(change: Partial<NodePlan> = {}, attachment = a): AttachmentRecord {
  const made = { ...planOf(attachment), ...change };
  const plan = { ...made, host: { senders, ...made.host } };
  const pod = { podNamespace: 'shop', podName: attachment.containerId };
  return { ...recordOf(attachment), pod, addresses: [v4, v6], plan };
}

const plain = recordWith();
const { plan: _, ...foreign } = plain;
const layer2 = recordWith({ bridge: { ...planOf(a).bridge, addresses: [] } });
const { senders: __, ...untiedPort } = plain.plan?.host ?? planOf(a).host;
const untied: AttachmentRecord = { ...plain, plan: { ...planOf(a), host: untiedPort } };
const trunk = [
  { vid: 1, isPvid: true, isUntagged: true },
  { vid: 9, isPvid: false, isUntagged: false },
];
const onTrunk = { ...untied, plan: { ...planOf(a), host: { ...untiedPort, vlans: trunk } } };
const untiedText = `shop/a: what enters by its port ${open.name} may have addresses of others`;
const withPortIsolation = recordWith({ host: { ...planOf(b).host, isolated: true } }, b);
const stranger = linkOf(9, 'tap9', 'tun', { master: 2, port: { hairpin: false, isolated: false } });
const strange = linkOf(9, 'veth9', 'veth', {
  master: 2,
  port: { hairpin: false, isolated: false },
});
const hostRoute = (destination: string, link: number) => ({
  destination: parseCidr(destination),
  link,
});
const ptp = linkOf(7, 'veth7', 'veth');

interface Row {
  readonly name: string;
  readonly records?: readonly AttachmentRecord[];
  readonly facts?: Partial<SameNodeFacts>;
  readonly want: readonly string[];
}

describe('findBypasses', () => {
  const portText = `shop/a: its port ${open.name} sends to other ports of bridge cni0`;
  test.each<Row>([
    { name: 'an isolated port', facts: { links: [bridge, isolated] }, want: [] },
    { name: 'one that is not', want: [portText] },
    {
      name: 'where br_netfilter shows both families',
      facts: { bridgedFamilies: [4, 6] },
      want: [],
    },
    { name: 'where it shows one', facts: { bridgedFamilies: [4] }, want: [portText] },
    {
      name: 'one of which nothing ties the addresses',
      records: [untied],
      facts: { links: [bridge, isolated] },
      want: [untiedText],
    },
    {
      name: 'one that was given none',
      records: [{ ...untied, addresses: [] }],
      facts: { links: [bridge, isolated] },
      want: [`${untiedText}: its network gives it none that are known`],
    },
    {
      name: 'one in VLANs of its own',
      records: [onTrunk],
      facts: { links: [bridge, isolated] },
      want: [`${untiedText}: those that it has in VLANs of its trunk are not known`],
    },
    { name: 'a pod whose pair is gone', facts: { links: [bridge] }, want: [] },
    {
      name: 'a pod without a router',
      records: [layer2],
      want: [`${portText}: the node is not their gateway`],
    },
    {
      name: 'a bridge with a LAN',
      facts: { links: [bridge, open, stranger] },
      want: [
        `${portText}: the node would answer for hosts behind tap9`,
        'port tap9 of bridge cni0 belongs to no pod that weft has made, and is not isolated',
      ],
    },
    {
      name: 'a port of nobody beside one that is isolated',
      facts: { links: [bridge, isolated, strange] },
      want: ['port veth9 of bridge cni0 belongs to no pod that weft has made, and is not isolated'],
    },
    {
      name: 'a port of an ADD that is at work',
      facts: { links: [bridge, isolated, strange], unfinishedPorts: new Set(['veth9']) },
      want: [],
    },
    {
      name: 'a bridge of pods with portIsolation',
      records: [plain, withPortIsolation],
      facts: { links: [bridge, open, portOf(b, 4, true)] },
      want: [`${portText}: pods with portIsolation, as shop/b, would reach each other`],
    },
    {
      name: 'a port of something else',
      facts: { links: [bridge, { ...open, master: 8 }, linkOf(8, 'ovs0', 'openvswitch')] },
      want: [`shop/a: its port ${open.name} is attached to ovs0 (openvswitch)`],
    },
    {
      name: 'an interface of another plugin',
      records: [foreign],
      want: ['shop/a: another plugin made its interface, and no route leads to it alone'],
    },
    {
      name: 'one that is routed to',
      records: [foreign],
      facts: { links: [ptp], routes: [hostRoute('10.0.0.2/32', 7), hostRoute('fd00::2/128', 7)] },
      want: [],
    },
    {
      name: 'one that is routed to in one family',
      records: [foreign],
      facts: { links: [ptp], routes: [hostRoute('10.0.0.2/32', 7)] },
      want: ['shop/a: another plugin made its interface, and no route leads to it alone'],
    },
  ])('$name', ({ records = [plain], facts, want }) => {
    const found = findBypasses(records, { ...empty, ...facts });
    expect(found.map(({ what }) => what)).toEqual(want);
    expect(found.every(({ cure }) => cure !== '')).toBe(true);
  });
});

describe('conversionsOf', () => {
  test.each<Row>([
    { name: 'a pod of a bridge that the node is the gateway of', want: [open.name] },
    {
      name: 'one whose port is isolated already',
      facts: { links: [bridge, isolated] },
      want: [open.name],
    },
    { name: 'a pod without a router', records: [layer2], want: [] },
    { name: 'a bridge with a LAN', facts: { links: [bridge, open, stranger] }, want: [] },
    {
      name: 'a bridge with a veth of nobody',
      facts: { links: [bridge, open, strange] },
      want: [open.name],
    },
    {
      name: 'a bridge of pods with portIsolation',
      records: [plain, withPortIsolation],
      facts: { links: [bridge, open, portOf(b, 4, true)] },
      want: [],
    },
    { name: 'a pod without its pair', facts: { links: [bridge] }, want: [] },
    { name: 'an interface of another plugin', records: [foreign], want: [] },
  ])('$name', ({ records = [plain], facts, want }) => {
    const found = conversionsOf(records, { ...empty, ...facts });
    expect(found.map(({ port }) => port.name)).toEqual(want);
  });

  test('the record will say what ADD would have', () => {
    const [found] = conversionsOf([plain], empty);
    expect(found?.plan.host.isolated).toBe(true);
    expect(found?.plan.sameNode).toMatchObject({
      link: 'cni0',
      mac: vethMacs(a).pod,
      proxied: [v6],
    });
    expect(found?.plan.sameNode?.sysctls.map(({ path, value }) => `${path}=${value}`)).toEqual([
      'net/ipv4/neigh/cni0/proxy_delay=0',
      'net/ipv4/conf/all/send_redirects=0',
      'net/ipv4/conf/cni0/send_redirects=0',
      'net/ipv4/conf/cni0/proxy_arp_pvlan=1',
      'net/ipv6/neigh/cni0/proxy_delay=0',
      'net/ipv6/conf/cni0/proxy_ndp=1',
    ]);
  });

  test('a pod with another hardware address is known by that', () => {
    const mac = parseMac('02:00:00:00:00:99');
    const neighbours = [{ link: 2, address: v4, mac, isPermanent: false }];
    const [found] = conversionsOf([plain], { ...empty, neighbours });
    expect(found?.plan.sameNode?.mac).toBe(mac);
  });
});
