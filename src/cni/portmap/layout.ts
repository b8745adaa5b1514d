/**
 * Table `inet weft-hostports`. Chains and rules are the same for one host port and for thousands;
 * what pods publish lives in map elements, per family (`-ip`, `-ip6`):
 *
 *     ports             protocol . port             -> pod address . port
 *     address-ports     address . protocol . port   -> pod address . port
 *     pods              pod address                 -> goto <chain that masquerades>
 *     conditional-ports, conditional-address-ports
 *                       the same with the number of a condition behind it, asked by the rules of the
 *                       condition, which are in chain `conditions`
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
import { ipBytes, portBytes, protocolBytes, u32Bytes } from '../../nftables/bytes.ts';
import { HOOK_PRIORITY } from '../../nftables/hook-priorities.ts';
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
  updateSet,
  verdictMap,
} from '../../nftables/statements.ts';
import { attachmentLabel } from '../attachment.ts';
import type { HostPortRecord, PodAddress } from '../host-ports.ts';
import { conditionChainName, conditionChains, conditionNumber } from './condition-chains.ts';
import { FAMILIES, FIELDS, isFamily, MAPS, type MapName, rule, SUFFIX } from './maps.ts';

/** Elements of one map. */
export interface MapElements {
  readonly map: NamedSet;
  readonly elements: readonly Element[];
}

const CT_STATUS_DNAT = 0x20;
const FIB_TYPE_LOCAL = 2;
/** `lo` is the first link of every namespace (LOOPBACK_IFINDEX in net/net_namespace.h). */
const LOOPBACK_INDEX = 1;
const LOOPBACK = parseCidr('127.0.0.0/8');
const LOOPBACK6 = hostCidr(parseIP('::1'));
/** Only the packet that is being handled must find what it wrote. */
const LOCAL_ADDRESS_TIMEOUT_MS = 60_000;
const MOST_LOCAL_ADDRESSES = 65_535;

const PRIORITY_BEHIND_DESTINATION_NAT = HOOK_PRIORITY.destinationNat + 1;

const MASQUERADE_ALL_CHAIN = 'masquerade-all';

/** Everything but elements, and the chains that records tell of. */
export const HOST_PORT_TABLE: TableDefinition = {
  table: { family: 'inet', name: 'weft-hostports', comment: 'host ports of pods' },
  sets: [...FAMILIES.flatMap((family) => Object.values(MAPS[family])), ...FAMILIES.map(learnt)],
  chains: [
    ...FAMILIES.map(dnatChain),
    { name: MASQUERADE_ALL_CHAIN, rules: [rule([masquerade()])] },
    { name: 'masquerading', rules: FAMILIES.map(masqueradingRule) },
    loopbackGuard(),
    natChain('prerouting'),
    natChain('output'),
    {
      name: 'postrouting',
      base: { type: 'nat', hook: 'postrouting', priority: HOOK_PRIORITY.sourceNat },
      rules: [rule([matchBits(ct.status, CT_STATUS_DNAT, '!=', 0), jump('masquerading')])],
    },
  ],
};

/** The maps whose elements are known beforehand. */
export const HOST_PORT_MAPS: readonly NamedSet[] = FAMILIES.flatMap((family) =>
  Object.values(MAPS[family]),
);

/** What a record puts into the maps; maps it has nothing for are left out. */
export function recordElements(
  record: Pick<HostPortRecord, 'attachment' | 'ports' | 'pods' | 'masquerade' | 'iptables'>,
): readonly MapElements[] {
  if (record.iptables !== undefined) return [];
  const comment = attachmentLabel(record.attachment);
  const content = new Map<NamedSet, Element[]>();
  const put = (family: IPFamily, name: MapName, key: string, data: string) => {
    const map = MAPS[family][name];
    content.set(map, [...(content.get(map) ?? []), { key, data, comment }]);
  };
  for (const { family, protocol, port, address, condition, target, targetPort } of record.ports) {
    const name = address === undefined ? 'ports' : 'address-ports';
    const map: MapName = condition === undefined ? name : `conditional-${name}`;
    const key = [
      address === undefined ? '' : ipBytes(address),
      protocolBytes(protocol) + portBytes(port),
      condition === undefined ? '' : u32Bytes(conditionNumber(condition)),
    ];
    put(family, map, key.join(''), ipBytes(target) + portBytes(targetPort));
  }
  if (record.masquerade !== 'none') {
    for (const pod of record.pods) {
      const chain =
        record.masquerade === 'all' ? MASQUERADE_ALL_CHAIN : subnetChainName(pod.subnet);
      put(ipFamily(pod.address), 'pods', ipBytes(pod.address), `goto ${chain}`);
    }
  }
  return [...content].map(([map, elements]) => ({ map, elements }));
}

/** The chains that follow from these records, besides those of the definition. */
export function recordChains(records: readonly HostPortRecord[]): readonly Chain[] {
  return [...subnetChains(records), ...conditionChains(records)];
}

/** The chains that elements of these records lead to. */
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
  const { saddr } = FIELDS[family];
  const sources = family === 4 ? [subnet, LOOPBACK] : [subnet];
  return {
    name: subnetChainName(subnet),
    rules: sources.map((source) =>
      rule([isFamily(family), matchCidr(saddr, '==', source), masquerade()]),
    ),
  };
}

function learnt(family: IPFamily): NamedSet {
  return {
    name: `local-addresses-${SUFFIX[family]}`,
    key: [FIELDS[family].daddr],
    isDynamic: true,
    hasTimeout: true,
    size: MOST_LOCAL_ADDRESSES,
  };
}

/** A port of one address comes before the same port of all addresses. */
function dnatChain(family: IPFamily): Chain {
  const { daddr } = FIELDS[family];
  const portKey = [meta.l4proto, th.dport];
  const { ports, 'address-ports': addressPorts } = MAPS[family];
  return {
    name: `host-ports-${SUFFIX[family]}`,
    rules: [
      rule([
        isFamily(family),
        updateSet([daddr], learnt(family).name, { timeoutMs: LOCAL_ADDRESS_TIMEOUT_MS }),
      ]),
      rule([isFamily(family), jump(conditionChainName(family))]),
      rule([isFamily(family), dnatToMap(SUFFIX[family], [daddr, ...portKey], addressPorts.name)]),
      rule([isFamily(family), dnatToMap(SUFFIX[family], portKey, ports.name)]),
    ],
  };
}

/**
 * Only what is for an address of this node; a port alone would take over what others serve
 * (GHSA-jv3w-x3r3-g6rm). To ::1 nothing can be led, see config.ts: a listener there keeps its own.
 */
function natChain(hook: 'prerouting' | 'output'): Chain {
  const isLocal = match(fib.daddrType, '==', u32Bytes(FIB_TYPE_LOCAL));
  const isNotLoopback6 = matchCidr(ip6.daddr, '!=', LOOPBACK6);
  return {
    name: hook,
    base: { type: 'nat', hook, priority: PRIORITY_BEHIND_DESTINATION_NAT },
    rules: [
      rule([isFamily(4), isLocal, jump('host-ports-ip')]),
      rule([isFamily(6), isNotLoopback6, isLocal, jump('host-ports-ip6')]),
    ],
  };
}

function masqueradingRule(family: IPFamily): Rule {
  const { daddr, originalDaddr } = FIELDS[family];
  return rule([
    isFamily(family),
    lookup([originalDaddr], learnt(family).name),
    verdictMap([daddr], MAPS[family].pods.name),
  ]);
}

/**
 * route_localnet on a pod network makes the kernel accept 127.0.0.0/8 from pods, and so lets them
 * reach what listens there (CVE-2020-8558). No packet that belongs to a host port looks like that
 * before connection tracking has seen it, so all of them are dropped.
 */
function loopbackGuard(): Chain {
  const isOutside = match(meta.iif, '!=', u32Bytes(LOOPBACK_INDEX));
  return {
    name: 'loopback-guard',
    base: { type: 'filter', hook: 'prerouting', priority: HOOK_PRIORITY.raw },
    rules: [ip.daddr, ip.saddr].map((address) =>
      rule([isFamily(4), isOutside, matchCidr(address, '==', LOOPBACK), drop]),
    ),
  };
}
