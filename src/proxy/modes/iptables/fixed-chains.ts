/** The chains and jumps that are the same whatever Services the cluster has. */

import type { GuestRule, RuleChain, TableName } from '../../../iptables/model.ts';
import { hostCidr, parseCidr } from '../../../net/cidr.ts';
import { type IP, type IPFamily, parseIP } from '../../../net/ip.ts';
import type { LayoutOptions } from '../../layout-options.ts';
import type { LocalDetector } from '../../node-addresses.ts';
import { CHAIN } from './chain-names.ts';
import { podSources, type RuleParts, ruleText, toCidr, toIP } from './rule-text.ts';

/** What does not change while the mode runs. */
export interface FixedOptions {
  /** Number of the bit, 0 to 31, that marks packets to masquerade. */
  readonly masqueradeBit: number;
  /** NodePorts answer on 127.0.0.1 too; for IPv4 only. */
  readonly hasLoopbackNodePorts: boolean;
  /**
   * Packets that conntrack calls invalid are not forwarded: without DNAT undone, the client would
   * answer them with a reset. Of no use where nf_conntrack_tcp_be_liberal is set.
   */
  readonly dropsInvalid: boolean;
}

/** What they follow. */
export type FollowedOptions = Pick<LayoutOptions, 'localDetector' | 'masqueradedUdpPorts'>;

const LAST_OF_SERVICES =
  'kubernetes service nodeports; NOTE: this must be the last rule in this chain';
const IS_NEW = '-m conntrack --ctstate NEW';
const IS_LOCAL = '-m addrtype --dst-type LOCAL';

/** Only counts: what is marked and comes from there was sent to a NodePort and has an endpoint. */
export const LOOPBACK_COUNTER =
  '-s 127.0.0.0/8 -m comment --comment "packets to nodePorts of localhost"';
export const INVALID_DROP = '-m conntrack --ctstate INVALID -j DROP';

export function fixedChains(
  { masqueradeBit, dropsInvalid, hasLoopbackNodePorts }: FixedOptions,
  { localDetector, masqueradedUdpPorts }: FollowedOptions,
): readonly RuleChain[] {
  const mark = `0x${(2 ** masqueradeBit).toString(16)}`;
  const isMarked = `-m mark --mark ${mark}/${mark}`;
  const nat = (name: string, rules: readonly string[]) => ({ table: 'nat' as const, name, rules });
  const snat = 'kubernetes service traffic requiring SNAT';
  return [
    {
      table: 'filter',
      name: CHAIN.forward,
      rules: [
        ...(dropsInvalid ? [INVALID_DROP] : []),
        `-m comment --comment "kubernetes forwarding rules" ${isMarked} -j ACCEPT`,
        '-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      ],
    },
    nat(CHAIN.markMasquerade, [`-j MARK --set-xmark ${mark}/${mark}`]),
    ...offClusterChains(localDetector),
    nat(CHAIN.postrouting, [
      `-m mark ! --mark ${mark}/${mark} -j RETURN`,
      // A packet may pass again, in a tunnel: only the first time is ours to decide.
      `-j MARK --set-xmark ${mark}/0x0`,
      ...(hasLoopbackNodePorts ? [LOOPBACK_COUNTER] : []),
      ...masqueradeRules(snat, masqueradedUdpPorts),
    ]),
    ...(['filter', 'nat', 'mangle'] as const).map((table) => ({
      table,
      name: CHAIN.canary,
      // Of no effect; it tells a chain that was flushed from one that was not.
      rules: ['-m comment --comment "rules are as they were made" -j RETURN'],
    })),
  ];
}

function masqueradeRules(
  comment: string,
  udpPorts: LayoutOptions['masqueradedUdpPorts'],
): readonly string[] {
  const all = `-m comment --comment "${comment}" -j MASQUERADE --random-fully`;
  if (udpPorts === undefined) return [all];
  return [`-p udp ${all} --to-ports ${udpPorts.first}-${udpPorts.last}`, all];
}

/** For networks of pods that one rule cannot tell from others. */
function offClusterChains(localDetector: LocalDetector | undefined): readonly RuleChain[] {
  const pods = podSources(localDetector);
  if (pods.length < 2) return [];
  const returns = pods.map((from) => ruleText({ ...from, target: '-j RETURN' }));
  const rules = [...returns, ruleText({ target: `-j ${CHAIN.markMasquerade}` })];
  return [{ table: 'nat', name: CHAIN.markOffCluster, rules }];
}

/** How packets come to our chains, in the order in which they stand in theirs. */
export function jumps(): readonly GuestRule[] {
  const jump = (table: TableName, chain: string, rule: string): GuestRule => {
    return { table, chain, rule, position: 'first' };
  };
  const to = (target: string, comment: string, isForNew: boolean) =>
    `${isForNew ? `${IS_NEW} ` : ''}-m comment --comment "${comment}" -j ${target}`;
  const firewall = to(CHAIN.proxyFirewall, 'kubernetes load balancer firewall', true);
  const external = to(
    CHAIN.externalServices,
    'kubernetes externally-visible service portals',
    true,
  );
  const portals = to(CHAIN.services, 'kubernetes service portals', true);
  const health = to(CHAIN.nodePorts, 'kubernetes health check service ports', false);
  const services = to(CHAIN.services, 'kubernetes service portals', false);
  return [
    ...[firewall, health, external].map((rule) => jump('filter', 'INPUT', rule)),
    ...[firewall, to(CHAIN.forward, 'kubernetes forwarding rules', false), portals, external].map(
      (rule) => jump('filter', 'FORWARD', rule),
    ),
    ...[firewall, portals, external].map((rule) => jump('filter', 'OUTPUT', rule)),
    jump('nat', 'PREROUTING', services),
    jump('nat', 'OUTPUT', services),
    jump('nat', 'POSTROUTING', to(CHAIN.postrouting, 'kubernetes postrouting rules', false)),
  ];
}

/**
 * Once packets from 127.0.0.1 may leave the loopback interface (route_localnet), neighbours may send
 * packets to it: they are dropped unless they belong to our own connections (CVE-2020-8558). The
 * kubelet keeps the same rule in the same chain.
 */
export function loopbackGuard({ hasLoopbackNodePorts }: FixedOptions): readonly GuestRule[] {
  if (!hasLoopbackNodePorts) return [];
  const comment = 'block incoming localnet connections';
  const rule = `! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "${comment}" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`;
  const jump = `-j ${CHAIN.firewall}`;
  return [
    { table: 'filter', chain: CHAIN.firewall, rule, position: 'last' },
    { table: 'filter', chain: 'INPUT', rule: jump, position: 'first' },
    { table: 'filter', chain: 'OUTPUT', rule: jump, position: 'first' },
  ];
}

/** What matches the addresses that accept NodePorts. `ips` undefined: all of the node's. */
export function nodePortAddresses(
  family: IPFamily,
  ips: readonly IP[] | undefined,
  { hasLoopbackNodePorts }: FixedOptions,
): readonly Pick<RuleParts, 'destination' | 'matches'>[] {
  const loopback = toCidr(family === 4 ? parseCidr('127.0.0.0/8') : hostCidr(parseIP('::1')));
  if (ips === undefined) {
    const matches = [IS_LOCAL];
    return [hasLoopbackNodePorts ? { matches } : { destination: `! ${loopback}`, matches }];
  }
  const listed = ips.map((ip) => ({ destination: toIP(ip) }));
  return hasLoopbackNodePorts
    ? [...listed, { destination: loopback, matches: [IS_LOCAL] }]
    : listed;
}

/** The end of KUBE-SERVICES in table nat: an address of the node may be one of a Service too. */
export function nodePortJumps(
  addresses: readonly Pick<RuleParts, 'destination' | 'matches'>[],
): readonly string[] {
  const target = `-j ${CHAIN.nodePorts}`;
  return addresses.map((address) => ruleText({ ...address, comment: LAST_OF_SERVICES, target }));
}
