/** The chains that are the same whatever Services, pods and networks the cluster has. */
import { hostCidr, parseCidr } from '../../net/cidr.ts';
import { parseIP } from '../../net/ip.ts';
import { protocolBytes, u32Bytes } from '../../nftables/bytes.ts';
import type { BaseChain, Chain, Rule } from '../../nftables/model.ts';
import { ct, fib, meta } from '../../nftables/selectors.ts';
import {
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
} from '../../nftables/statements.ts';
import type { Protocol } from '../service.ts';
import { CHAIN, rule } from './chain-names.ts';
import { fieldsOf, PORT_KEY } from './fields.ts';
import type { LayoutOptions } from './layout-options.ts';

/** One rule each: nft 1.0.6 loads `ct original proto-dst` only after a match for one protocol. */
const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];

const CT_STATE_NEW = 8;
const CT_STATUS_DNAT = 0x20;
const FIB_TYPE_LOCAL = 2;

const isTcp = match(meta.l4proto, '==', protocolBytes('tcp'));
const isNew = matchBits(ct.state, CT_STATE_NEW, '!=', 0);
const isDnat = matchBits(ct.status, CT_STATUS_DNAT, '!=', 0);
const isNotDnat = matchBits(ct.status, CT_STATUS_DNAT, '==', 0);
const isLocalDestination = match(fib.daddrType, '==', u32Bytes(FIB_TYPE_LOCAL));
const isLocalSource = match(fib.saddrType, '==', u32Bytes(FIB_TYPE_LOCAL));
const masqueradeRandomly = masquerade({ isFullyRandom: true });

export function fixedChains(options: LayoutOptions): readonly Chain[] {
  return [
    ...baseChains(),
    ...filterChains(options),
    ...serviceChains(options),
    ...masqueradeChains(options),
  ];
}

function baseChains(): readonly Chain[] {
  const chain = (name: string, base: BaseChain, rules: readonly Rule[]) => ({ name, base, rules });
  const filter = (hook: BaseChain['hook']): BaseChain => ({ type: 'filter', hook, priority: 0 });
  const dstnat = (hook: BaseChain['hook']): BaseChain => ({ type: 'nat', hook, priority: -100 });
  // One rule each: its start is all that packets of established connections meet. What has an
  // endpoint is not refused.
  const checkInput = rule([isNew, isNotDnat, jump('input-check')]);
  const checkServices = rule([isNew, isNotDnat, jump('service-check')]);
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
  const { daddr, addressKey } = fieldsOf(options.family);
  const refuseService = rule([verdictMap(addressKey, 'no-endpoint-services')]);
  const refuseNodePort = verdictMap(PORT_KEY, 'no-endpoint-nodeports');
  const refuseClusterIP = [lookup([daddr], 'cluster-ips'), goTo(CHAIN.reject)];
  return [
    {
      name: 'input-check',
      rules: [rule([...isNodeAddress(options), refuseNodePort]), refuseService],
    },
    {
      name: 'service-check',
      rules: [
        refuseService,
        rule(refuseClusterIP, 'no such port of a clusterIP'),
        rule([goTo(CHAIN.unallocated)]),
      ],
    },
    { name: CHAIN.reject, rules: [rule([isTcp, reject({ isTcpReset: true })]), rule([reject()])] },
  ];
}

function serviceChains(options: LayoutOptions): readonly Chain[] {
  const { saddr, addressKey } = fieldsOf(options.family);
  const isAllowed = lookup([...addressKey, saddr], 'source-ranges', { isNegated: true });
  return [
    {
      name: 'services',
      rules: [
        rule([verdictMap(addressKey, 'service-ips')]),
        rule([...isNodeAddress(options), verdictMap(PORT_KEY, 'service-nodeports')]),
      ],
    },
    {
      name: CHAIN.checkClients,
      rules: [
        rule([isAllowed, verdictMap(addressKey, 'rejected-sources')]),
        rule([jump(CHAIN.outsideClients)]),
        rule([verdictMap(addressKey, 'checked-services')]),
      ],
    },
    {
      name: CHAIN.checkNodePortClients,
      rules: [
        rule([jump(CHAIN.outsideNodePortClients)]),
        rule([verdictMap(PORT_KEY, 'checked-nodeports')]),
      ],
    },
  ];
}

function masqueradeChains(options: LayoutOptions): readonly Chain[] {
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
    {
      name: 'masquerading',
      rules: [
        rule([lookup([saddr, daddr], 'hairpins'), masqueradeRandomly]),
        rule([lookup([originalDaddr], 'cluster-ips'), goTo(CHAIN.masqueradeOffCluster)]),
        ...perProtocol([], byService),
        ...perProtocol(isOriginalNodeAddress, byNodePort),
      ],
    },
    { name: CHAIN.masqueradeAll, rules: [rule([masqueradeRandomly])] },
    { name: CHAIN.masqueradeNode, rules: [rule([isLocalSource, masqueradeRandomly])] },
  ];
}

/** Loopback never accepts NodePorts: a reply to another host could not carry that address. */
function isNodeAddress({ family, acceptsOnAllAddresses }: LayoutOptions): readonly Statement[] {
  const { daddr } = fieldsOf(family);
  if (!acceptsOnAllAddresses) return [lookup([daddr], 'nodeport-ips')];
  const loopback = family === 4 ? parseCidr('127.0.0.0/8') : hostCidr(parseIP('::1'));
  return [isLocalDestination, matchCidr(daddr, '!=', loopback)];
}
