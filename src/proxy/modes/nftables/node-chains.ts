/**
 * The chains whose rules follow the networks of the node and the cluster. They are no part of the
 * table's definition, so that a change of these networks is one small transaction and never a
 * reason to make the table anew.
 */
import type { IPFamily } from '../../../net/ip.ts';
import { ifnameBytes, u32Bytes } from '../../../nftables/bytes.ts';
import type { Chain } from '../../../nftables/model.ts';
import { fib, meta } from '../../../nftables/selectors.ts';
import {
  drop,
  match,
  matchCidr,
  returnVerdict,
  type Statement,
  verdictMap,
} from '../../../nftables/statements.ts';
import type { LayoutOptions } from '../../layout-options.ts';
import type { LocalDetector } from '../../node-addresses.ts';
import { CHAIN, rule } from './chain-names.ts';
import { fieldsOf, PORT_KEY } from './fields.ts';
import { masqueradeRules } from './masquerading.ts';

const FIB_TYPE_LOCAL = 2;

const isFromNode = match(fib.saddrType, '==', u32Bytes(FIB_TYPE_LOCAL));

export function nodeChains(options: LayoutOptions): readonly Chain[] {
  return [offClusterChain(options), ...outsideChains(options), unallocatedChain(options)];
}

/** Masquerades connections to a clusterIP that do not come from this node's pods. */
function offClusterChain(options: LayoutOptions): Chain {
  const { family, localDetector, masqueradesAll } = options;
  const name = CHAIN.masqueradeOffCluster;
  const all = masqueradeRules(options);
  if (masqueradesAll) return { name, rules: all };
  if (localDetector === undefined) return { name, rules: [] };
  const fromPods = [...podSources(localDetector, family), ...bridgedSources(localDetector)];
  return { name, rules: [...fromPods.map((isLocal) => rule([...isLocal, returnVerdict])), ...all] };
}

/** Sends clients that are neither this node nor its pods where `externalTrafficPolicy` wants. */
function outsideChains({ family, localDetector }: LayoutOptions): readonly Chain[] {
  const { addressKey } = fieldsOf(family);
  const fromPods = localDetector === undefined ? [] : podSources(localDetector, family);
  const insiders = [...fromPods, [isFromNode]].map((isInside) =>
    rule([...isInside, returnVerdict]),
  );
  const byService = rule([verdictMap(addressKey, 'outside-services')]);
  const byNodePort = rule([verdictMap(PORT_KEY, 'outside-nodeports')]);
  return [
    { name: CHAIN.outsideClients, rules: [...insiders, byService] },
    { name: CHAIN.outsideNodePortClients, rules: [...insiders, byNodePort] },
  ];
}

/** Discards what is sent to clusterIPs that nobody has, lest it leave by the default route. */
function unallocatedChain({ family, serviceCIDRs }: LayoutOptions): Chain {
  const { daddr } = fieldsOf(family);
  return {
    name: CHAIN.unallocated,
    rules: serviceCIDRs.map((cidr) => rule([matchCidr(daddr, '==', cidr), drop])),
  };
}

/** Matches for traffic of this node's pods. */
function podSources(detector: LocalDetector, family: IPFamily): readonly (readonly Statement[])[] {
  const { saddr } = fieldsOf(family);
  switch (detector.kind) {
    case 'cidrs':
      return detector.cidrs.map((cidr) => [matchCidr(saddr, '==', cidr)]);
    case 'bridge':
      return [[match(meta.iifname, '==', ifnameBytes(detector.name))]];
    case 'interfacePrefix':
      return [[match(meta.iifname, '==', detector.prefix)]];
  }
}

/**
 * The input interface is known at postrouting since kernel 5.7, but for two kinds of packets: those
 * of the node's own processes, and those that br_netfilter shows us on their way from one port of a
 * bridge to another. The latter are of pods.
 */
function bridgedSources(detector: LocalDetector): readonly (readonly Statement[])[] {
  if (detector.kind === 'cidrs') return [];
  const hasNoInterface = match(meta.iif, '==', u32Bytes(0));
  return [[hasNoInterface, match(fib.saddrType, '!=', u32Bytes(FIB_TYPE_LOCAL))]];
}
