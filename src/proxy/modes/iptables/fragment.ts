/**
 * The chains and rules of one ServicePort, in kube-proxy's shape (pkg/proxy/iptables/proxier.go):
 *
 *     KUBE-SERVICES --> KUBE-SVC (endpoints anywhere) or KUBE-SVL (endpoints here) for a clusterIP
 *                   --> KUBE-FW (source ranges) --> KUBE-EXT (clients outside) for other addresses
 *     KUBE-NODEPORTS -> KUBE-EXT --> KUBE-SVC, KUBE-SVL --> KUBE-SEP, one for each endpoint
 */

import type { RuleChain } from '../../../iptables/model.ts';
import type { LocalDetector } from '../../node-addresses.ts';
import type { ResolvedFrontend, ResolvedPort, Route } from '../../state.ts';
import type { WeighedEndpoints } from '../../weights.ts';
import { CHAIN, endpointChain, serviceChain } from './chain-names.ts';
import {
  type EndpointOptions,
  endpointChainRules,
  endpointRules,
  uniqueEndpoints,
} from './endpoint-rules.ts';
import { type FilterRules, filterRules } from './filter-rules.ts';
import { fromCidr, negated, podSources, type RuleParts, ruleText, toIP } from './rule-text.ts';

export interface PortRulesOptions extends EndpointOptions {
  /** Undefined: no traffic to a clusterIP counts as coming from outside. */
  readonly localDetector: LocalDetector | undefined;
  readonly masqueradesAll: boolean;
  /** What matches the addresses that accept NodePorts, one rule for each. */
  readonly nodePortAddresses: readonly Pick<RuleParts, 'destination' | 'matches'>[];
}

/** What one ServicePort adds to the tables. */
export interface PortRules {
  /** Chains of table nat that are its own. */
  readonly chains: readonly RuleChain[];
  /** Its rules in chains that all ServicePorts share. */
  readonly shared: FilterRules & {
    readonly natServices: readonly string[];
    readonly natNodePorts: readonly string[];
  };
}

export function renderPort(resolved: ResolvedPort, options: PortRulesOptions): PortRules {
  const { port, frontends } = resolved;
  const { anywhere, here } = routesOf(resolved);
  const chains: RuleChain[] = [];
  const add = (name: string, rules: readonly string[]) =>
    chains.push({ table: 'nat', name, rules });
  const masquerades = clusterIPMasquerading(resolved, options);
  const { isInternalLocal } = port.policy;
  if (anywhere.endpoints.length > 0) {
    const first = isInternalLocal ? [] : masquerades;
    add(serviceChain('SVC', port), [...first, ...endpointRules(resolved, anywhere, options)]);
  }
  if (here.endpoints.length > 0) {
    const first = isInternalLocal ? masquerades : [];
    add(serviceChain('SVL', port), [...first, ...endpointRules(resolved, here, options)]);
  }
  const forwarded = frontends.filter(isForwarded);
  const external = forwarded.find(({ frontend }) => frontend.kind !== 'clusterIP');
  if (external !== undefined)
    add(serviceChain('EXT', port), externalRules(resolved, external, options));
  const ranged = forwarded.find(({ allowedSources }) => allowedSources.length > 0);
  if (ranged !== undefined) add(serviceChain('FW', port), sourceRangeRules(resolved, ranged));
  for (const { key, endpoint } of uniqueEndpoints(anywhere, here)) {
    add(endpointChain(port, key), endpointChainRules(resolved, endpoint, options));
  }
  return {
    chains,
    shared: { ...dispatchRules(resolved, forwarded), ...filterRules(resolved, options) },
  };
}

const NOWHERE: Route = { endpoints: [], weights: undefined, whenEmpty: 'reject' };

/** The endpoints for policy Cluster and for policy Local, as far as some frontend needs them. */
function routesOf({ port, frontends }: ResolvedPort): {
  readonly anywhere: WeighedEndpoints;
  readonly here: WeighedEndpoints;
} {
  const routes = frontends.map(({ frontend, route, outside }) => {
    const isHere = frontend.kind === 'clusterIP' && port.policy.isInternalLocal;
    return isHere ? { here: route } : { anywhere: route, here: outside };
  });
  return {
    anywhere: routes.find(({ anywhere }) => anywhere !== undefined)?.anywhere ?? NOWHERE,
    here: routes.find(({ here }) => here !== undefined)?.here ?? NOWHERE,
  };
}

/** Somebody who uses it can be led to an endpoint. */
function isForwarded({ route, outside }: ResolvedFrontend): boolean {
  return route.endpoints.length > 0 || (outside?.endpoints.length ?? 0) > 0;
}

/** Which frontends lead to which chain. */
function dispatchRules(
  { port }: ResolvedPort,
  forwarded: readonly ResolvedFrontend[],
): Pick<PortRules['shared'], 'natServices' | 'natNodePorts'> {
  const natServices: string[] = [];
  const natNodePorts: string[] = [];
  const { protocol, name } = port;
  const clusterIPChain = port.policy.isInternalLocal ? 'SVL' : 'SVC';
  const says = {
    clusterIP: 'cluster IP',
    loadBalancerIP: 'loadbalancer IP',
    externalIP: 'external IP',
  };
  for (const { frontend, allowedSources } of forwarded) {
    if (frontend.kind === 'nodePort') {
      const target = `-j ${serviceChain('EXT', port)}`;
      natNodePorts.push(ruleText({ protocol, comment: name, port: frontend.port, target }));
      continue;
    }
    const external = allowedSources.length > 0 ? 'FW' : 'EXT';
    const kind = frontend.kind === 'clusterIP' ? clusterIPChain : external;
    const destination = toIP(frontend.ip);
    const comment = `${name} ${says[frontend.kind]}`;
    const target = `-j ${serviceChain(kind, port)}`;
    natServices.push(ruleText({ destination, protocol, comment, port: frontend.port, target }));
  }
  return { natServices, natNodePorts };
}

/** Marks connections to the clusterIP that do not come from this node's pods. */
function clusterIPMasquerading(
  { port, frontends }: ResolvedPort,
  { localDetector, masqueradesAll }: PortRulesOptions,
): readonly string[] {
  const frontend = frontends.find((each) => each.frontend.kind === 'clusterIP')?.frontend;
  if (frontend === undefined) return [];
  const rule = (chain: string, from: Pick<RuleParts, 'source' | 'inInterface'>) =>
    ruleText({
      ...from,
      destination: toIP(port.clusterIP),
      protocol: port.protocol,
      comment: `${port.name} cluster IP`,
      port: port.port,
      target: `-j ${chain}`,
    });
  if (masqueradesAll) return [rule(CHAIN.markMasquerade, {})];
  const [pods, ...others] = podSources(localDetector);
  if (pods === undefined) return [];
  // One rule cannot ask for none of several networks.
  if (others.length > 0) return [rule(CHAIN.markOffCluster, {})];
  return [rule(CHAIN.markMasquerade, negated(pods))];
}

/** What clients of external addresses meet; with policy Local, this node and its pods first. */
function externalRules(
  { port }: ResolvedPort,
  { route, outside }: ResolvedFrontend,
  { localDetector }: PortRulesOptions,
): readonly string[] {
  const destinations = `${port.name} external destinations`;
  const toAnywhere = `-j ${serviceChain('SVC', port)}`;
  const mark = `-j ${CHAIN.markMasquerade}`;
  if (outside === undefined) {
    const comment = `masquerade traffic for ${destinations}`;
    return [ruleText({ comment, target: mark }), ruleText({ target: toAnywhere })];
  }
  const isFromNode = ['-m addrtype --src-type LOCAL'];
  const says = (what: string) => `${what} for ${destinations}`;
  const insiders = [
    ...podSources(localDetector).map((pods) =>
      ruleText({ ...pods, comment: says('pod traffic'), target: toAnywhere }),
    ),
    ruleText({ comment: says('masquerade LOCAL traffic'), matches: isFromNode, target: mark }),
    ruleText({ comment: says('route LOCAL traffic'), matches: isFromNode, target: toAnywhere }),
  ];
  return [
    ...(route.endpoints.length > 0 ? insiders : []),
    ...(outside.endpoints.length > 0
      ? [ruleText({ target: `-j ${serviceChain('SVL', port)}` })]
      : []),
  ];
}

/** Whoever is not let through keeps the destination, by which table filter drops the packet. */
function sourceRangeRules(
  { port }: ResolvedPort,
  { allowedSources }: ResolvedFrontend,
): readonly string[] {
  const target = `-j ${serviceChain('EXT', port)}`;
  const comment = `${port.name} loadbalancer IP`;
  const rejected = `other traffic to ${port.name} will be dropped by ${CHAIN.proxyFirewall}`;
  return [
    ...allowedSources.map((range) => ruleText({ source: fromCidr(range), comment, target })),
    ruleText({ comment: rejected }),
  ];
}
