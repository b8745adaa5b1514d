import { describe, expect, test } from 'vitest';
import { hostVethName } from '../../../../src/cni/attachment.ts';
import type { AttachmentRecord } from '../../../../src/cni/attachment-records.ts';
import type { NodePlan } from '../../../../src/cni/node-plan.ts';
import { decideLinkRepairs, type NodeLinks } from '../../../../src/cni/upkeep/links.ts';
import { mayNeedRepair } from '../../../../src/cni/upkeep/repair.ts';
import type { LinkEvent } from '../../../../src/kernel/link-monitor.ts';
import type { Link } from '../../../../src/kernel/types.ts';
import { parseIPWithPrefix } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { parseMac } from '../../../../src/net/mac.ts';
import { planOf, recordOf } from './builders.ts';

const attachment = { network: 'net', containerId: 'a', ifName: 'eth0' };
const veth = hostVethName(attachment);

function linkOf(index: number, name: string, kind: string, change: Partial<Link> = {}): Link {
  return {
    index,
    name,
    kind,
    mac: undefined,
    mtu: 1500,
    isUp: true,
    operState: 'up',
    isPromiscuous: false,
    master: undefined,
    peerIndex: undefined,
    alias: undefined,
    ...change,
  };
}

const bridge = linkOf(2, 'cni0', 'bridge');
const port = linkOf(3, veth, 'veth', { master: 2, port: { hairpin: false, isolated: false } });
const own = { address: parseIP('10.0.0.1'), link: 2 };
const well: NodeLinks = { links: [bridge, port], addresses: [own] };

function recordWith(change: Partial<NodePlan> = {}, createdAtMs = 1): AttachmentRecord {
  return { ...recordOf(attachment), plan: { ...planOf(attachment), ...change }, createdAtMs };
}

const { host, bridge: bridgePlan } = planOf(attachment);
const gateway = {
  name: 'cni0.7',
  mac: parseMac('02:00:00:00:00:07'),
  port: { name: 'veth00000007', mac: parseMac('02:00:00:00:00:08') },
  vlan: 7,
  keepsDefaultVlan: false,
  addresses: [parseIPWithPrefix('10.7.0.1/24')],
  mayReplaceAddresses: false,
  sysctls: [],
};
const inVlan = { bridge: { ...bridgePlan, addresses: [] }, vlanGateway: gateway };
const gatewayLink = linkOf(7, 'cni0.7', 'veth');
const gatewayPort = linkOf(8, 'veth00000007', 'veth', { master: 2 });

describe('decideLinkRepairs', () => {
  test.each([
    { name: 'all is well', found: well, want: [] },
    { name: 'no bridge', found: { ...well, links: [port] }, want: ['bridge cni0', `port ${veth}`] },
    {
      name: 'the bridge has another name',
      found: { ...well, links: [{ ...bridge, name: 'br9' }, port] },
      want: [],
    },
    {
      name: 'bridge down',
      found: { ...well, links: [{ ...bridge, isUp: false }, port] },
      want: ['up cni0'],
    },
    { name: 'no address', found: { ...well, addresses: [] }, want: ['address 10.0.0.1/24'] },
    {
      name: 'the address on another link',
      found: { ...well, addresses: [{ ...own, link: 9 }] },
      want: ['address 10.0.0.1/24'],
    },
    {
      name: 'port out of the bridge',
      found: { ...well, links: [bridge, { ...port, master: undefined }] },
      want: [`port ${veth}`],
    },
    {
      name: 'port in another bridge',
      found: { ...well, links: [bridge, { ...port, master: 9 }] },
      want: [`port ${veth}`],
    },
    {
      name: 'port down',
      found: { ...well, links: [bridge, { ...port, isUp: false }] },
      want: [`port ${veth}`],
    },
    {
      name: 'hairpin lost',
      found: well,
      records: [recordWith({ host: { ...host, hairpin: true } })],
      want: [`port ${veth}`],
    },
    {
      name: 'isolation lost',
      found: well,
      records: [recordWith({ host: { ...host, isolated: true } })],
      want: [`port ${veth}`],
    },
    { name: 'the pod is gone', found: { links: [], addresses: [] }, want: [] },
    {
      name: 'gateway of a VLAN is well',
      found: {
        links: [bridge, port, gatewayLink, gatewayPort],
        addresses: [{ address: parseIP('10.7.0.1'), link: 7 }],
      },
      records: [recordWith(inVlan)],
      want: [],
    },
    {
      name: 'gateway of a VLAN is gone',
      found: { links: [bridge, port], addresses: [] },
      records: [recordWith(inVlan)],
      want: ['vlanGateway cni0.7'],
    },
    {
      name: "gateway's port out of the bridge",
      found: {
        links: [bridge, port, gatewayLink, { ...gatewayPort, master: undefined }],
        addresses: [{ address: parseIP('10.7.0.1'), link: 7 }],
      },
      records: [recordWith(inVlan)],
      want: ['vlanGateway cni0.7'],
    },
    {
      name: 'addresses of older pods count too',
      found: well,
      records: [
        recordWith({ bridge: { ...bridgePlan, addresses: [parseIPWithPrefix('10.9.0.1/24')] } }, 1),
        recordWith({}, 2),
      ],
      want: ['address 10.9.0.1/24'],
    },
  ])('$name', ({ found, records = [recordWith()], want }) => {
    const repairs = decideLinkRepairs(found, records).map((repair) => {
      if (repair.kind === 'address') return `address ${repair.address}`;
      return `${repair.kind} ${repair.kind === 'up' ? repair.link : repair.plan.name}`;
    });
    expect(repairs).toEqual(want);
  });
});

describe('mayNeedRepair', () => {
  const link = (value: Link, isGone = false): LinkEvent => ({ kind: 'link', isGone, link: value });
  const address = { ...own, prefixLength: 24 };
  test.each([
    { name: 'an address gone', event: { kind: 'address', isGone: true, address }, want: true },
    { name: 'an address new', event: { kind: 'address', isGone: false, address }, want: false },
    { name: 'a bridge gone', event: link(bridge, true), want: true },
    { name: 'a bridge down', event: link({ ...bridge, isUp: false }), want: true },
    { name: 'a bridge up', event: link(bridge), want: false },
    { name: 'a new port', event: link(port), want: false },
    { name: 'a port without bridge', event: link({ ...port, master: undefined }), want: true },
    { name: 'a port down', event: link({ ...port, isUp: false }), want: true },
    { name: 'a pair gone', event: link({ ...port, master: undefined }, true), want: false },
    {
      name: "somebody else's veth",
      event: link({ ...port, name: 'vethcafe', master: undefined }),
      want: false,
    },
    { name: 'forwarding switched', event: { kind: 'forwarding', isGone: false }, want: true },
    { name: 'an uplink down', event: link(linkOf(5, 'eth0', '', { isUp: false })), want: false },
  ] satisfies readonly { name: string; event: LinkEvent; want: boolean }[])(
    '$name',
    ({ event, want }) => {
      expect(mayNeedRepair(event)).toBe(want);
    },
  );
});
