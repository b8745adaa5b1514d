/** The rules of table nat: whose source address is replaced by the node's. They mark packets. */
import type { IPFamily } from '../../../net/ip.ts';
import type { SessionSettings } from '../../session.ts';
import { CHAIN } from '../iptables/chain-names.ts';
import { nodePortAddresses } from '../iptables/fixed-chains.ts';
import { negated, podSources, ruleText } from '../iptables/rule-text.ts';
import { IPVS_CHAIN } from './chain-names.ts';
import { FROM_NODE, inSet, notInSet } from './matches.ts';
import type { SetRoleName } from './sets.ts';

const MARK = `-j ${CHAIN.markMasquerade}`;

/** Who is masqueraded: marks, for KUBE-POSTROUTING. */
export function serviceRules(settings: SessionSettings): readonly string[] {
  const { family, acceptsOnAllAddresses } = settings.layout;
  const to = (role: SetRoleName) => [inSet(role, family, 'dst,dst')];
  const addresses = nodePortAddresses(
    family,
    acceptsOnAllAddresses ? undefined : settings.nodePortIPs,
    { masqueradeBit: 0, hasLoopbackNodePorts: false, dropsInvalid: false },
  );
  return [
    ruleText({
      comment: 'Kubernetes service lb portal',
      matches: to('loadBalancer'),
      target: `-j ${IPVS_CHAIN.loadBalancer}`,
    }),
    ...clusterIPRules(settings),
    ruleText({
      comment: 'Kubernetes service external ip + port for masquerade and filter purpose',
      matches: to('externalIP'),
      target: MARK,
    }),
    ruleText({ matches: [FROM_NODE, ...to('externalIPLocal')], target: MARK }),
    ...addresses.map(({ matches = [], ...address }) =>
      ruleText({
        ...address,
        comment: 'kubernetes service nodeports',
        // The addresses of Services are local ones here.
        matches: [...matches, notInSet('address', family, 'dst')],
        target: `-j ${IPVS_CHAIN.nodePort}`,
      }),
    ),
  ];
}

/**
 * Connections of this node to a clusterIP come from that clusterIP, as a link has it: they are
 * masqueraded whatever the configuration.
 */
function clusterIPRules({ layout }: SessionSettings): readonly string[] {
  const { family, localDetector, masqueradesAll } = layout;
  const comment = 'Kubernetes service cluster ip + port for masquerade purpose';
  const matches = [inSet('clusterIP', family, 'dst,dst')];
  if (masqueradesAll) return [ruleText({ comment, matches, target: MARK })];
  const [pods, ...others] = podSources(localDetector);
  if (pods === undefined) {
    const ownAddress = [inSet('clusterIP', family, 'src,dst')];
    return [ruleText({ comment, matches: ownAddress, target: MARK })];
  }
  // One rule cannot ask for none of several networks.
  if (others.length > 0) {
    return [ruleText({ comment, matches, target: `-j ${CHAIN.markOffCluster}` })];
  }
  return [ruleText({ ...negated(pods), comment, matches, target: MARK })];
}

export function loadBalancerRules(family: IPFamily): readonly string[] {
  const isLocal = inSet('loadBalancerLocal', family, 'dst,dst');
  return [
    ruleText({ matches: [FROM_NODE, isLocal], target: MARK }),
    ruleText({
      comment: 'Kubernetes service load balancer ip + port with externalTrafficPolicy=local',
      matches: [isLocal],
      target: '-j RETURN',
    }),
    ruleText({ target: MARK }),
  ];
}

export function nodePortRules(family: IPFamily): readonly string[] {
  const kinds = [
    { protocol: 'tcp', all: 'nodePortTcp', local: 'nodePortLocalTcp', fields: 'dst' },
    { protocol: 'udp', all: 'nodePortUdp', local: 'nodePortLocalUdp', fields: 'dst' },
    { protocol: 'sctp', all: 'nodePortSctp', local: 'nodePortLocalSctp', fields: 'dst,dst' },
  ] as const;
  return kinds.flatMap(({ protocol, all, local, fields }) => {
    const isLocal = inSet(local, family, fields);
    return [
      ruleText({ protocol, matches: [FROM_NODE, isLocal], target: MARK }),
      ruleText({
        protocol,
        comment: `Kubernetes nodeport ${protocol.toUpperCase()} port with externalTrafficPolicy=local`,
        matches: [isLocal],
        target: '-j RETURN',
      }),
      ruleText({
        protocol,
        comment: `Kubernetes nodeport ${protocol.toUpperCase()} port for masquerade purpose`,
        matches: [inSet(all, family, fields)],
        target: MARK,
      }),
    ];
  });
}
