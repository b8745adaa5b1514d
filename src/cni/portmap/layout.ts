/**
 * Table `inet weft-hostports`. Chains and rules are the same for one host port and for thousands;
 * what pods publish lives in map elements, per family (`-ip`, `-ip6`):
 *
 *     ports             protocol . port             -> pod address . port
 *     address-ports     address . protocol . port   -> pod address . port
 *     pods              pod address                 -> goto <chain that masquerades>
 *     local-addresses   address of the node that a host port was asked at, learnt from packets
 *
 * Packets are not marked. Whether to masquerade is seen at postrouting: the connection was DNATed,
 * its original destination is an address of the node (so it is not one of a Service, whose clients
 * keep their address), and its target publishes host ports.
 *
 * The nat chains come one behind dstnat (-100), where those of kube-proxy, weft-proxy and the
 * reference's portmap are, and the kernel asks no further chain once one has translated. So a Service
 * wins over a host port of the same number, and host ports of another plugin over ours: what a dead
 * pod left never shadows a successor's, also where nobody of ours runs any more to remove it.
 */
import { type Cidr, cidrFamily, hostCidr, parseCidr } from '../../net/cidr.ts';
import { type IPFamily, ipFamily, parseIP } from '../../net/ip.ts';
import { ipBytes, portBytes, protocolBytes, u8Bytes, u32Bytes } from '../../nftables/bytes.ts';
import { hookPriority } from '../../nftables/hook-priorities.ts';
import type { Chain, Element, NamedSet, Rule, TableDefinition } from '../../nftables/model.ts';
import { ct, fib, ip, ip6, meta, th } from '../../nftables/selectors.ts';
import {
  dnatToMap,
  drop,
  jump,
  lookup,
  masquerade,
  match,
  matchBits,
  matchCidr,
  type Statement,
  updateSet,
  verdictMap,
} from '../../nftables/statements.ts';
import { attachmentLabel } from '../attachment.ts';
import type { HostPortRecord, PodAddress } from './record.ts';

type MapName = 'ports' | 'address-ports' | 'pods';

/** Elements of one map. */
export interface MapElements {
  readonly map: NamedSet;
  readonly elements: readonly Element[];
}

const families: readonly IPFamily[] = [4, 6];
const suffix = { 4: 'ip', 6: 'ip6' } as const;
/** uapi/linux/netfilter.h NFPROTO_IPV4 and NFPROTO_IPV6. */
const nfproto = { 4: u8Bytes(2), 6: u8Bytes(10) } as const;
const fields = {
  4: { ...ip, originalDaddr: ct.originalDaddr4 },
  6: { ...ip6, originalDaddr: ct.originalDaddr6 },
} as const;

const ctStatusDnat = 0x20;
const fibTypeLocal = 2;
/** `lo` is the first link of every namespace (LOOPBACK_IFINDEX in net/net_namespace.h). */
const loopbackIndex = 1;
const loopback = parseCidr('127.0.0.0/8');
const loopback6 = hostCidr(parseIP('::1'));
/** Only the packet that is being handled must find what it wrote. */
const localAddressTimeoutMs = 60_000;
const mostLocalAddresses = 65_535;

const priorityBehindDestinationNat = hookPriority.destinationNat + 1;

const masqueradeAllChain = 'masquerade-all';

const maps = {
  4: mapsOf(4),
  6: mapsOf(6),
} as const;

/** Everything but elements, and the chains of subnets. */
export const hostPortTable: TableDefinition = {
  table: { family: 'inet', name: 'weft-hostports', comment: 'host ports of pods' },
  sets: [...families.flatMap((family) => Object.values(maps[family])), ...families.map(learnt)],
  chains: [
    ...families.map(dnatChain),
    { name: masqueradeAllChain, rules: [rule([masquerade()])] },
    { name: 'masquerading', rules: families.map(masqueradingRule) },
    loopbackGuard(),
    natChain('prerouting'),
    natChain('output'),
    {
      name: 'postrouting',
      base: { type: 'nat', hook: 'postrouting', priority: hookPriority.sourceNat },
      rules: [rule([matchBits(ct.status, ctStatusDnat, '!=', 0), jump('masquerading')])],
    },
  ],
};

/** The maps whose elements are known beforehand. */
export const hostPortMaps: readonly NamedSet[] = families.flatMap((family) =>
  Object.values(maps[family]),
);

/** What a record puts into the maps; maps it has nothing for are left out. */
export function recordElements(
  record: Pick<HostPortRecord, 'attachment' | 'ports' | 'pods' | 'masquerade' | 'iptables'>,
): readonly MapElements[] {
  if (record.iptables !== undefined) return [];
  const comment = attachmentLabel(record.attachment);
  const content = new Map<NamedSet, Element[]>();
  const put = (family: IPFamily, name: MapName, key: string, data: string) => {
    const map = maps[family][name];
    content.set(map, [...(content.get(map) ?? []), { key, data, comment }]);
  };
  for (const { family, protocol, port, address, target, targetPort } of record.ports) {
    const key = protocolBytes(protocol) + portBytes(port);
    const data = ipBytes(target) + portBytes(targetPort);
    if (address === undefined) put(family, 'ports', key, data);
    else put(family, 'address-ports', ipBytes(address) + key, data);
  }
  if (record.masquerade !== 'none') {
    for (const pod of record.pods) {
      const chain = record.masquerade === 'all' ? masqueradeAllChain : subnetChainName(pod.subnet);
      put(ipFamily(pod.address), 'pods', ipBytes(pod.address), `goto ${chain}`);
    }
  }
  return [...content].map(([map, elements]) => ({ map, elements }));
}

/** The chains that elements of these records lead to, besides those of the definition. */
export function subnetChains(
  records: readonly Pick<HostPortRecord, 'pods' | 'masquerade'>[],
): readonly Chain[] {
  const subnets = new Set<Cidr>();
  for (const { pods, masquerade: scope } of records) {
    if (scope === 'subnet') for (const { subnet } of pods) subnets.add(subnet);
  }
  return [...subnets].sort().map(subnetChain);
}

/** `subnet-10.22.0.0-16`: nft's grammar has no `:` and no `/` in names. */
function subnetChainName(subnet: PodAddress['subnet']): string {
  return `subnet-${subnet.replaceAll(/[:/]/g, '-')}`;
}

/**
 * Sources whose answers would not pass this node again: the pod itself and its neighbours, which it
 * answers directly, and the node's loopback, which is no address to answer to.
 */
function subnetChain(subnet: Cidr): Chain {
  const family = cidrFamily(subnet);
  const { saddr } = fields[family];
  const sources = family === 4 ? [subnet, loopback] : [subnet];
  return {
    name: subnetChainName(subnet),
    rules: sources.map((source) =>
      rule([isFamily(family), matchCidr(saddr, '==', source), masquerade()]),
    ),
  };
}

function mapsOf(family: IPFamily): Readonly<Record<MapName, NamedSet>> {
  const { daddr } = fields[family];
  const portKey = [meta.l4proto, th.dport];
  const target = [daddr, th.dport];
  const name = (text: string) => `${text}-${suffix[family]}`;
  return {
    ports: { name: name('ports'), key: portKey, data: target },
    'address-ports': { name: name('address-ports'), key: [daddr, ...portKey], data: target },
    pods: { name: name('pods'), key: [daddr], data: 'verdict' },
  };
}

function learnt(family: IPFamily): NamedSet {
  return {
    name: `local-addresses-${suffix[family]}`,
    key: [fields[family].daddr],
    isDynamic: true,
    hasTimeout: true,
    size: mostLocalAddresses,
  };
}

/** A port of one address comes before the same port of all addresses. */
function dnatChain(family: IPFamily): Chain {
  const { daddr } = fields[family];
  const portKey = [meta.l4proto, th.dport];
  const { ports, 'address-ports': addressPorts } = maps[family];
  return {
    name: `host-ports-${suffix[family]}`,
    rules: [
      rule([
        isFamily(family),
        updateSet([daddr], learnt(family).name, { timeoutMs: localAddressTimeoutMs }),
      ]),
      rule([isFamily(family), dnatToMap(suffix[family], [daddr, ...portKey], addressPorts.name)]),
      rule([isFamily(family), dnatToMap(suffix[family], portKey, ports.name)]),
    ],
  };
}

/**
 * Only what is for an address of this node; a port alone would take over what others serve
 * (GHSA-jv3w-x3r3-g6rm). To ::1 nothing can be led, see config.ts: a listener there keeps its own.
 */
function natChain(hook: 'prerouting' | 'output'): Chain {
  const isLocal = match(fib.daddrType, '==', u32Bytes(fibTypeLocal));
  const isNotLoopback6 = matchCidr(ip6.daddr, '!=', loopback6);
  return {
    name: hook,
    base: { type: 'nat', hook, priority: priorityBehindDestinationNat },
    rules: [
      rule([isFamily(4), isLocal, jump('host-ports-ip')]),
      rule([isFamily(6), isNotLoopback6, isLocal, jump('host-ports-ip6')]),
    ],
  };
}

function masqueradingRule(family: IPFamily): Rule {
  const { daddr, originalDaddr } = fields[family];
  return rule([
    isFamily(family),
    lookup([originalDaddr], learnt(family).name),
    verdictMap([daddr], maps[family].pods.name),
  ]);
}

/**
 * route_localnet on a pod network makes the kernel accept 127.0.0.0/8 from pods, and so lets them
 * reach what listens there (CVE-2020-8558). No packet that belongs to a host port looks like that
 * before connection tracking has seen it, so all of them are dropped.
 */
function loopbackGuard(): Chain {
  const isOutside = match(meta.iif, '!=', u32Bytes(loopbackIndex));
  return {
    name: 'loopback-guard',
    base: { type: 'filter', hook: 'prerouting', priority: hookPriority.raw },
    rules: [ip.daddr, ip.saddr].map((address) =>
      rule([isFamily(4), isOutside, matchCidr(address, '==', loopback), drop]),
    ),
  };
}

function isFamily(family: IPFamily): Statement {
  return match(meta.nfproto, '==', nfproto[family]);
}

function rule(statements: readonly Statement[]): Rule {
  return { statements };
}
