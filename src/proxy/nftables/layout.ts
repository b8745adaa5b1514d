/**
 * The table of one address family: `ip weft-proxy` or `ip6 weft-proxy`. Its chains, rules and sets
 * are the same for one Service and for ten thousand; Services live in map elements only:
 *
 *     service-ips          address . protocol . port          -> goto n<N>
 *     endpoints            address . protocol . port . slot   -> endpoint address . port
 *     service-nodeports    protocol . port                    -> goto p<N>
 *     nodeport-endpoints   protocol . port . slot             -> endpoint address . port
 *     no-endpoint-*        the same keys                      -> drop, or goto reject-chain
 *
 * A slot is a number from 0 to N - 1. The chains n<N> and p<N> draw one and rewrite the
 * destination; there is one such chain for every number N of endpoints that some Service has.
 * Hooks and priorities are those of kube-proxy's nftables mode: reject works in prerouting only
 * since kernel 5.9, and what is no Service is told from what is one by whether DNAT happened.
 *
 * No packet marks: whether to masquerade is read at postrouting from the connection's original
 * destination, so the bit that others use for policy routing or their own NAT stays theirs.
 */

import { hostCidr, parseCidr } from '../../net/cidr.ts';
import { type IPFamily, parseIP } from '../../net/ip.ts';
import { ifnameBytes, protocolBytes, u32Bytes } from '../../nftables/bytes.ts';
import type {
  BaseChain,
  Chain,
  NamedSet,
  Rule,
  Table,
  TableDefinition,
} from '../../nftables/model.ts';
import { ct, fib, ip, ip6, meta, numgenRandom, th } from '../../nftables/selectors.ts';
import {
  dnatToMap,
  goTo,
  jump,
  lookup,
  masquerade,
  match,
  matchBits,
  matchCidr,
  reject,
  returnVerdict,
  type Statement,
  verdictMap,
} from '../../nftables/statements.ts';
import type { LocalDetector } from '../node-addresses.ts';
import type { Protocol } from '../service.ts';

export interface LayoutOptions {
  readonly family: IPFamily;
  /** NodePorts answer on every local address but loopback, not only on `nodeport-ips`. */
  readonly acceptsOnAllAddresses: boolean;
  /** Undefined: no traffic to a clusterIP counts as coming from outside. */
  readonly localDetector: LocalDetector | undefined;
  readonly masqueradesAll: boolean;
}

/** Sets and maps that a Service may have elements in. */
export type SetName =
  | 'cluster-ips'
  | 'nodeport-ips'
  | 'masqueraded-nodeports'
  | 'hairpins'
  | 'service-ips'
  | 'service-nodeports'
  | 'endpoints'
  | 'nodeport-endpoints'
  | 'no-endpoint-services'
  | 'no-endpoint-nodeports';

/**
 * The chain whose rules follow the node's pod networks. It is no part of the definition, so that a
 * change of these networks is one small transaction and never a reason to make the table anew.
 */
const OFF_CLUSTER_CHAIN = 'masquerade-off-cluster';

/**
 * Answers that nobody is there. For TCP with a reset: the kernel sends few ICMP errors per second
 * to one host, and an IPv6 client in connect() may take notice of the second one only.
 */
const REJECT_CHAIN = 'reject-chain';
/** Verdict of a frontend without endpoints; reject is a statement, so it needs a chain. */
export const REJECT_VERDICT = `goto ${REJECT_CHAIN}`;

/** One rule each: nft 1.0.6 loads `ct original proto-dst` only after a match for one protocol. */
const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];

const SLOT_LIMIT = 65_536;
const CT_STATE_NEW = 8;
const CT_STATUS_DNAT = 0x20;
const FIB_TYPE_LOCAL = 2;

const isTcp = match(meta.l4proto, '==', protocolBytes('tcp'));
const isNew = matchBits(ct.state, CT_STATE_NEW, '!=', 0);
const isDnat = matchBits(ct.status, CT_STATUS_DNAT, '!=', 0);
const isLocalDestination = match(fib.daddrType, '==', u32Bytes(FIB_TYPE_LOCAL));
const masqueradeRandomly = masquerade({ isFullyRandom: true });

/** The table of a family. */
export function proxyTable(family: IPFamily): Table {
  const name = 'weft-proxy';
  return { family: family === 4 ? 'ip' : 'ip6', name, comment: 'Kubernetes Services' };
}

/** Everything of the table that depends neither on Services nor on the node's pod networks. */
export function tableDefinition(options: LayoutOptions): TableDefinition {
  return {
    table: proxyTable(options.family),
    sets: tableSets(options),
    chains: [...baseChains(), ...filterChains(options), ...natChains(options)],
  };
}

/** `n5`: spreads connections to an address over five endpoints; `p5`: those to a NodePort. */
export function slotChainName(kind: 'address' | 'nodePort', count: number): string {
  return `${kind === 'address' ? 'n' : 'p'}${count}`;
}

/** Whether a chain of that name is a slot chain. */
export function isSlotChain(name: string): boolean {
  return /^[np][1-9]\d*$/.test(name);
}

/** The chain that slotChainName names. */
export function slotChain(family: IPFamily, kind: 'address' | 'nodePort', count: number): Chain {
  const { daddr } = fields(family);
  const slot = numgenRandom(count);
  const key = [meta.l4proto, th.dport, slot];
  const dnat =
    kind === 'address'
      ? dnatToMap(family === 4 ? 'ip' : 'ip6', [daddr, ...key], 'endpoints')
      : dnatToMap(family === 4 ? 'ip' : 'ip6', key, 'nodeport-endpoints');
  return { name: slotChainName(kind, count), rules: [rule([dnat])] };
}

/** Masquerades connections to a clusterIP that do not come from this node's pods. */
export function offClusterChain(options: LayoutOptions): Chain {
  const { family, localDetector, masqueradesAll } = options;
  const name = OFF_CLUSTER_CHAIN;
  if (masqueradesAll) return { name, rules: [rule([masqueradeRandomly])] };
  if (localDetector === undefined) return { name, rules: [] };
  return {
    name,
    rules: [
      ...localSources(localDetector, family).map((isLocal) => rule([...isLocal, returnVerdict])),
      rule([masqueradeRandomly]),
    ],
  };
}

/**
 * Matches for traffic of this node's pods. The input interface is known at postrouting since
 * kernel 5.7, but for two kinds of packets: those of the node's own processes, and those that
 * br_netfilter shows us on their way from one port of a bridge to another.
 */
function localSources(
  detector: LocalDetector,
  family: IPFamily,
): readonly (readonly Statement[])[] {
  const { saddr } = fields(family);
  const isBridged = [
    match(meta.iif, '==', u32Bytes(0)),
    match(fib.saddrType, '!=', u32Bytes(FIB_TYPE_LOCAL)),
  ];
  switch (detector.kind) {
    case 'cidrs':
      return detector.cidrs.map((cidr) => [matchCidr(saddr, '==', cidr)]);
    case 'bridge':
      return [[match(meta.iifname, '==', ifnameBytes(detector.name))], isBridged];
    case 'interfacePrefix':
      return [[match(meta.iifname, '==', detector.prefix)], isBridged];
  }
}

function fields(family: IPFamily) {
  return family === 4
    ? { ...ip, originalDaddr: ct.originalDaddr4 }
    : { ...ip6, originalDaddr: ct.originalDaddr6 };
}

function tableSets({ family, acceptsOnAllAddresses }: LayoutOptions): readonly NamedSet[] {
  const { saddr, daddr } = fields(family);
  const addressKey = [daddr, meta.l4proto, th.dport];
  const portKey = [meta.l4proto, th.dport];
  const slot = numgenRandom(SLOT_LIMIT);
  const target = [daddr, th.dport];
  const hasCounters = true;
  const sets: (NamedSet & { readonly name: SetName })[] = [
    { name: 'cluster-ips', key: [daddr], comment: 'active clusterIPs' },
    { name: 'hairpins', key: [saddr, daddr], comment: 'pods that may reach themselves' },
    {
      name: 'masqueraded-nodeports',
      key: portKey,
      comment: 'NodePorts whose clients are masqueraded',
    },
    { name: 'service-ips', key: addressKey, data: 'verdict', hasCounters },
    { name: 'service-nodeports', key: portKey, data: 'verdict', hasCounters },
    { name: 'endpoints', key: [...addressKey, slot], data: target, hasCounters },
    { name: 'nodeport-endpoints', key: [...portKey, slot], data: target, hasCounters },
    { name: 'no-endpoint-services', key: addressKey, data: 'verdict' },
    { name: 'no-endpoint-nodeports', key: portKey, data: 'verdict' },
  ];
  if (!acceptsOnAllAddresses) {
    sets.push({ name: 'nodeport-ips', key: [daddr], comment: 'addresses that accept NodePorts' });
  }
  return sets;
}

function baseChains(): readonly Chain[] {
  const chain = (name: string, base: BaseChain, rules: readonly Rule[]) => ({ name, base, rules });
  const filter = (hook: BaseChain['hook']): BaseChain => ({ type: 'filter', hook, priority: 0 });
  const dstnat = (hook: BaseChain['hook']): BaseChain => ({ type: 'nat', hook, priority: -100 });
  // One rule each: it is all that packets of established connections meet.
  const checkInput = rule([isNew, jump('input-check')]);
  const checkServices = rule([isNew, jump('service-check')]);
  return [
    chain('filter-input', filter('input'), [checkInput]),
    chain('filter-forward', filter('forward'), [checkServices]),
    chain('filter-output', filter('output'), [checkServices]),
    chain('nat-prerouting', dstnat('prerouting'), [rule([jump('services')])]),
    chain('nat-output', dstnat('output'), [rule([jump('services')])]),
    chain('nat-postrouting', { type: 'nat', hook: 'postrouting', priority: 100 }, [
      rule([isDnat, jump('masquerading')]),
    ]),
  ];
}

function filterChains(options: LayoutOptions): readonly Chain[] {
  const { daddr } = fields(options.family);
  const portKey = [meta.l4proto, th.dport];
  const refuseService = rule([verdictMap([daddr, ...portKey], 'no-endpoint-services')]);
  const refuseNodePort = verdictMap(portKey, 'no-endpoint-nodeports');
  const refuseClusterIP = [lookup([daddr], 'cluster-ips'), goTo(REJECT_CHAIN)];
  return [
    {
      name: 'input-check',
      rules: [rule([...isNodeAddress(options), refuseNodePort]), refuseService],
    },
    {
      name: 'service-check',
      rules: [refuseService, rule(refuseClusterIP, 'no such port of a clusterIP')],
    },
    { name: REJECT_CHAIN, rules: [rule([isTcp, reject({ isTcpReset: true })]), rule([reject()])] },
  ];
}

function natChains(options: LayoutOptions): readonly Chain[] {
  const { saddr, daddr, originalDaddr } = fields(options.family);
  const isOriginalNodeAddress = options.acceptsOnAllAddresses
    ? []
    : [lookup([originalDaddr], 'nodeport-ips')];
  return [
    {
      name: 'services',
      rules: [
        rule([verdictMap([daddr, meta.l4proto, th.dport], 'service-ips')]),
        rule([
          ...isNodeAddress(options),
          verdictMap([meta.l4proto, th.dport], 'service-nodeports'),
        ]),
      ],
    },
    {
      name: 'masquerading',
      rules: [
        rule([lookup([saddr, daddr], 'hairpins'), masqueradeRandomly]),
        rule([lookup([originalDaddr], 'cluster-ips'), goTo(OFF_CLUSTER_CHAIN)]),
        ...PROTOCOLS.map((protocol) =>
          rule([
            ...isOriginalNodeAddress,
            match(meta.l4proto, '==', protocolBytes(protocol)),
            lookup([meta.l4proto, ct.originalDport], 'masqueraded-nodeports'),
            masqueradeRandomly,
          ]),
        ),
      ],
    },
  ];
}

/** Loopback never accepts NodePorts: a reply to another host could not carry that address. */
function isNodeAddress({ family, acceptsOnAllAddresses }: LayoutOptions): readonly Statement[] {
  const { daddr } = fields(family);
  if (!acceptsOnAllAddresses) return [lookup([daddr], 'nodeport-ips')];
  const loopback = family === 4 ? parseCidr('127.0.0.0/8') : hostCidr(parseIP('::1'));
  return [isLocalDestination, matchCidr(daddr, '!=', loopback)];
}

function rule(statements: readonly Statement[], comment?: string): Rule {
  return comment === undefined ? { statements } : { statements, comment };
}
