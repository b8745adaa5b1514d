/**
 * The chains of the IPVS mode. Their number and length do not depend on the Services, which are
 * entries of sets. Chains of the same names as in iptables mode hold what kube-proxy has in them.
 *
 * A packet meets nat PREROUTING, filter INPUT, IPVS and nat POSTROUTING; one of this node mangle
 * OUTPUT, nat OUTPUT, IPVS and nat POSTROUTING. Where no virtual server takes it, it comes to filter
 * INPUT in the end, as its address is on a link of this node.
 */

import type { GuestRule, RuleChain, TableName } from '../../../iptables/model.ts';
import { cidrFamily } from '../../../net/cidr.ts';
import type { IPFamily } from '../../../net/ip.ts';
import type { SessionSettings } from '../../session.ts';
import { CHAIN } from '../iptables/chain-names.ts';
import { fixedChains } from '../iptables/fixed-chains.ts';
import { podSources, ruleText, toCidr } from '../iptables/rule-text.ts';
import { IPVS_CHAIN } from './chain-names.ts';
import { loadBalancerRules, nodePortRules, serviceRules } from './masquerade-rules.ts';
import { FROM_NODE, inSet } from './matches.ts';
import type { SetRoleName } from './sets.ts';

export interface RulesOptions {
  readonly masqueradeBit: number;
  readonly settings: SessionSettings;
}

const IS_NEW = '-m conntrack --ctstate NEW';
const TO_OTHERS = '-m addrtype ! --dst-type LOCAL';

export function ipvsChains({ masqueradeBit, settings }: RulesOptions): readonly RuleChain[] {
  const { family } = settings.layout;
  const shared = fixedChains(
    { masqueradeBit, hasLoopbackNodePorts: false, dropsInvalid: false },
    settings.layout,
  );
  const hairpin = ruleText({
    comment: 'Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose',
    matches: [inSet('hairpin', family, 'dst,dst,src')],
    target: '-j MASQUERADE',
  });
  return [
    ...shared.map((chain) =>
      chain.name === CHAIN.postrouting ? { ...chain, rules: [hairpin, ...chain.rules] } : chain,
    ),
    nat(CHAIN.services, serviceRules(settings)),
    nat(IPVS_CHAIN.loadBalancer, loadBalancerRules(family)),
    nat(IPVS_CHAIN.nodePort, nodePortRules(family)),
    ...firewallChains('filter', family),
    ...firewallChains('mangle', family),
    filter(CHAIN.services, unusedAddressRules(settings)),
    filter(IPVS_CHAIN.nodePort, [
      ruleText({
        protocol: 'tcp',
        comment: 'Kubernetes health check node port',
        matches: [inSet('healthCheck', family, 'dst')],
        target: '-j ACCEPT',
      }),
    ]),
    filter(IPVS_CHAIN.filter, filterRules(family)),
    filter(IPVS_CHAIN.outside, outsideRules(settings)),
  ];
}

function nat(name: string, rules: readonly string[]): RuleChain {
  return { table: 'nat', name, rules };
}

function filter(name: string, rules: readonly string[]): RuleChain {
  return { table: 'filter', name, rules };
}

/** Sources that may not use a load balancer's address; those of this node are met in mangle. */
function firewallChains(table: 'filter' | 'mangle', family: IPFamily): readonly RuleChain[] {
  const isRanged = inSet('ranged', family, 'dst,dst');
  const isAllowed = inSet('range', family, 'dst,dst,src');
  return [
    {
      table,
      name: CHAIN.proxyFirewall,
      rules: [
        ruleText({
          comment: 'Kubernetes service load balancer ip + port for load balancer with sourceRange',
          matches: [isRanged],
          target: `-j ${IPVS_CHAIN.sourceRanges}`,
        }),
      ],
    },
    {
      table,
      name: IPVS_CHAIN.sourceRanges,
      rules: [ruleText({ matches: [isAllowed], target: '-j RETURN' }), '-j DROP'],
    },
  ];
}

/** Addresses that Services are given from and none has: those that one has are on a link here. */
function unusedAddressRules({ layout: { family, serviceCIDRs } }: SessionSettings) {
  const cidrs = serviceCIDRs.filter((cidr) => cidrFamily(cidr) === family);
  return cidrs.map((cidr) =>
    ruleText({
      destination: toCidr(cidr),
      comment: 'Drop traffic to unallocated ClusterIPs',
      matches: [TO_OTHERS],
      target: '-j DROP',
    }),
  );
}

/** Portals that lead nowhere. Other ports of a Service's address must not be those of this node. */
function filterRules(family: IPFamily): readonly string[] {
  const to = (role: SetRoleName) => inSet(role, family, 'dst,dst');
  return [
    ruleText({ matches: [to('silent')], target: '-j DROP' }),
    ruleText({ matches: [to('silentOutside')], target: `-j ${IPVS_CHAIN.outside}` }),
    ...refusals(to('refused'), family),
    ruleText({ matches: [to('server')], target: '-j RETURN' }),
    ...refusals(inSet('address', family, 'dst'), family),
  ];
}

/** ICMP errors are rate limited for each client, and a client of IPv6 may ignore the first. */
function refusals(match: string, family: IPFamily): readonly string[] {
  const icmp = family === 4 ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
  const answers = { tcp: 'tcp-reset', udp: icmp, sctp: icmp } as const;
  return (['tcp', 'udp', 'sctp'] as const).map((protocol) =>
    ruleText({
      protocol,
      matches: [match],
      target: `-j REJECT --reject-with ${answers[protocol]}`,
    }),
  );
}

/** Everybody but this node and its pods. */
function outsideRules({ layout }: SessionSettings): readonly string[] {
  return [
    ...podSources(layout.localDetector).map((pods) => ruleText({ ...pods, target: '-j RETURN' })),
    ruleText({ matches: [FROM_NODE], target: '-j RETURN' }),
    '-j DROP',
  ];
}

/** How packets come to these chains, in the order in which they stand in theirs. */
export function ipvsJumps(): readonly GuestRule[] {
  const jump = (table: TableName, chain: string, target: string, comment: string, match = '') => {
    const rule = ruleText({ matches: [match], comment, target: `-j ${target}` });
    return { table, chain, rule, position: 'first' } as const;
  };
  const firewall = ['kubernetes load balancer firewall', IS_NEW] as const;
  const portals = ['kubernetes service portals', IS_NEW] as const;
  return [
    jump('filter', 'INPUT', CHAIN.proxyFirewall, ...firewall),
    jump('filter', 'INPUT', IPVS_CHAIN.nodePort, 'kubernetes health check rules'),
    jump('filter', 'INPUT', IPVS_CHAIN.filter, 'kubernetes ipvs access filter', IS_NEW),
    jump('filter', 'FORWARD', CHAIN.forward, 'kubernetes forwarding rules'),
    jump('filter', 'FORWARD', CHAIN.services, ...portals),
    jump('filter', 'OUTPUT', CHAIN.services, ...portals),
    jump('mangle', 'OUTPUT', CHAIN.proxyFirewall, ...firewall),
    jump('nat', 'PREROUTING', CHAIN.services, 'kubernetes service portals'),
    jump('nat', 'OUTPUT', CHAIN.services, 'kubernetes service portals'),
    jump('nat', 'POSTROUTING', CHAIN.postrouting, 'kubernetes postrouting rules'),
  ];
}
