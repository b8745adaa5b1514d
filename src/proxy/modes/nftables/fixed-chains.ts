/** The chains that are the same whatever Services, pods and networks the cluster has. */
import { hostCidr, parseCidr } from '../../../net/cidr.ts';
import { parseIP } from '../../../net/ip.ts';
import { protocolBytes, u32Bytes } from '../../../nftables/bytes.ts';
import type { BaseChain, Chain, Rule } from '../../../nftables/model.ts';
import { ct, fib, meta } from '../../../nftables/selectors.ts';
import {
  accept,
  goTo,
  jump,
  lookup,
  masquerade,
  match,
  matchBits,
  matchCidr,
  reject,
  type Statement,
  verdictMap,
} from '../../../nftables/statements.ts';
import type { LayoutOptions } from '../../layout-options.ts';
import type { Protocol } from '../../service.ts';
import { CHAIN, rule } from './chain-names.ts';
import { fieldsOf, PORT_KEY } from './fields.ts';
import { masqueradeRules } from './masquerading.ts';

/** One rule each: nft 1.0.6 loads `ct original proto-dst` only after a match for one protocol. */
const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];

const CT_STATE_NEW = 8;
const CT_STATUS_DNAT = 0x20;
const FIB_TYPE_LOCAL = 2;

const isTcp = match(meta.l4proto, '==', protocolBytes('tcp'));
// The resets that refuse pass the output hook themselves, as related to what they answer.
const isNew = matchBits(ct.state, CT_STATE_NEW, '!=', 0);
const isNotDnat = matchBits(ct.status, CT_STATUS_DNAT, '==', 0);
const isLocalDestination = match(fib.daddrType, '==', u32Bytes(FIB_TYPE_LOCAL));
const isNotLocalDestination = match(fib.daddrType, '!=', u32Bytes(FIB_TYPE_LOCAL));
const isLocalSource = match(fib.saddrType, '==', u32Bytes(FIB_TYPE_LOCAL));

export function fixedChains(options: LayoutOptions): readonly Chain[] {
  return [
    ...baseChains(options),
    ...refusalChains(options),
    ...clientChains(options),
    ...masqueradeChains(options),
  ];
}

/** What no rule has led to an endpoint goes on to where it may be refused. */
function baseChains(options: LayoutOptions): readonly Chain[] {
  const chain = (
    name: string,
    hook: BaseChain['hook'],
    priority: number,
    rules: readonly Rule[],
  ) => {
    return { name, base: { type: 'nat', hook, priority } as const, rules };
  };
  const { addressKey } = fieldsOf(options.family);
  const services = [
    rule([verdictMap(addressKey, 'service-ips')]),
    rule([...isNodeAddress(options), verdictMap(PORT_KEY, 'service-nodeports')]),
    rule([isNew, jump(CHAIN.refusedServices)]),
  ];
  return [
    // A program of the node may have a clusterIP as its own, as DNS caches on nodes do.
    chain('nat-prerouting', 'prerouting', -100, [
      ...services,
      rule([isNew, isNotLocalDestination, jump(CHAIN.otherClusterIPs)]),
    ]),
    chain('nat-output', 'output', -100, [...services, rule([isNew, jump(CHAIN.otherClusterIPs)])]),
    chain('nat-postrouting', 'postrouting', 100, masquerading(options)),
  ];
}

function refusalChains(options: LayoutOptions): readonly Chain[] {
  const { daddr, addressKey } = fieldsOf(options.family);
  const refuseNodePort = verdictMap(PORT_KEY, 'no-endpoint-nodeports');
  const refuseClusterIP = [lookup([daddr], 'cluster-ips'), goTo(CHAIN.reject)];
  return [
    {
      name: CHAIN.refusedServices,
      rules: [
        rule([verdictMap(addressKey, 'no-endpoint-services')]),
        rule([...isNodeAddress(options), refuseNodePort]),
      ],
    },
    {
      name: CHAIN.otherClusterIPs,
      rules: [
        rule(refuseClusterIP, 'no such port of a clusterIP'),
        rule([goTo(CHAIN.unallocated)]),
      ],
    },
    { name: CHAIN.reject, rules: [rule([isTcp, reject('tcp-reset')]), rule([reject()])] },
  ];
}

function clientChains(options: LayoutOptions): readonly Chain[] {
  const { saddr, addressKey } = fieldsOf(options.family);
  const isAllowed = lookup([...addressKey, saddr], 'source-ranges', { isNegated: true });
  return [
    {
      name: CHAIN.checkClients,
      rules: [
        rule([isAllowed, verdictMap(addressKey, 'rejected-sources')]),
        rule([jump(CHAIN.outsideClients)]),
        rule([verdictMap(addressKey, 'checked-services')]),
        rule([goTo(CHAIN.refusedServices)]),
      ],
    },
    {
      name: CHAIN.checkNodePortClients,
      rules: [
        rule([jump(CHAIN.outsideNodePortClients)]),
        rule([verdictMap(PORT_KEY, 'checked-nodeports')]),
        rule([goTo(CHAIN.refusedServices)]),
      ],
    },
  ];
}

/** Nearly every connection is one to a clusterIP, or none to a Service at all: these end first. */
function masquerading(options: LayoutOptions): readonly Rule[] {
  const { saddr, daddr, originalDaddr } = fieldsOf(options.family);
  const isOriginalNodeAddress = options.acceptsOnAllAddresses
    ? []
    : [lookup([originalDaddr], 'nodeport-ips')];
  const originalPort = [meta.l4proto, ct.originalDport];
  const byService = verdictMap([originalDaddr, ...originalPort], 'masqueraded-services');
  const byNodePort = verdictMap(originalPort, 'masqueraded-nodeports');
  const perProtocol = (statements: readonly Statement[], last: Statement) =>
    PROTOCOLS.map((protocol) =>
      rule([...statements, match(meta.l4proto, '==', protocolBytes(protocol)), last]),
    );
  return [
    rule([isNotDnat, accept]),
    rule([lookup([saddr, daddr], 'hairpins'), masquerade({ isFullyRandom: true })]),
    rule([lookup([originalDaddr], 'cluster-ips'), goTo(CHAIN.masqueradeOffCluster)]),
    ...perProtocol([], byService),
    ...perProtocol(isOriginalNodeAddress, byNodePort),
  ];
}

function masqueradeChains(options: LayoutOptions): readonly Chain[] {
  return [
    { name: CHAIN.masqueradeAll, rules: masqueradeRules(options) },
    { name: CHAIN.masqueradeNode, rules: masqueradeRules(options, isLocalSource) },
  ];
}

/** Loopback never accepts NodePorts: a reply to another host could not carry that address. */
function isNodeAddress({ family, acceptsOnAllAddresses }: LayoutOptions): readonly Statement[] {
  const { daddr } = fieldsOf(family);
  if (!acceptsOnAllAddresses) return [lookup([daddr], 'nodeport-ips')];
  const loopback = family === 4 ? parseCidr('127.0.0.0/8') : hostCidr(parseIP('::1'));
  return [isLocalDestination, matchCidr(daddr, '!=', loopback)];
}
