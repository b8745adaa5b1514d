/** What table filter has of a ServicePort: who is refused, and the hole for health checks. */
import { ipFamily } from '../../../net/ip.ts';
import type { ResolvedFrontend, ResolvedPort } from '../../state.ts';
import { serviceChain } from './chain-names.ts';
import { fromCidr, type RuleParts, ruleText, toIP } from './rule-text.ts';

interface FilterOptions {
  readonly nodePortAddresses: readonly Pick<RuleParts, 'destination' | 'matches'>[];
}

/** By the chain they go into. */
export interface FilterRules {
  readonly filterServices: readonly string[];
  readonly filterExternal: readonly string[];
  readonly filterNodePorts: readonly string[];
  readonly filterFirewall: readonly string[];
}

export function filterRules(resolved: ResolvedPort, options: FilterOptions): FilterRules {
  const { port, frontends } = resolved;
  const isInternal = ({ frontend }: ResolvedFrontend) => frontend.kind === 'clusterIP';
  const refusals = (wanted: readonly ResolvedFrontend[]) =>
    wanted.flatMap((frontend) => refusalRules(resolved, frontend, options));
  const { healthCheckNodePort } = port.policy;
  const comment = `${port.name} health check node port`;
  return {
    filterServices: refusals(frontends.filter(isInternal)),
    filterExternal: refusals(frontends.filter((frontend) => !isInternal(frontend))),
    filterNodePorts:
      healthCheckNodePort === undefined
        ? []
        : [ruleText({ protocol: 'tcp', comment, port: healthCheckNodePort, target: '-j ACCEPT' })],
    filterFirewall: frontends.flatMap((frontend) => firewallRules(resolved, frontend)),
  };
}

/**
 * Nobody is there, or nobody on this node: what nat has led to an endpoint has another destination
 * by now and is not met.
 */
function refusalRules(
  { port }: ResolvedPort,
  { frontend, route, outside }: ResolvedFrontend,
  { nodePortAddresses }: FilterOptions,
): readonly string[] {
  const { endpoints, whenEmpty } = outside ?? route;
  if (endpoints.length > 0) return [];
  const isHere = whenEmpty === 'drop';
  const comment = `${port.name} has no ${isHere ? 'local ' : ''}endpoints`;
  const target = isHere ? '-j DROP' : `-j REJECT --reject-with ${answerOf(port)}`;
  const rule = { protocol: port.protocol, comment, port: frontend.port, target };
  if (frontend.kind === 'nodePort') {
    return nodePortAddresses.map((address) => ruleText({ ...address, ...rule }));
  }
  return [ruleText({ destination: toIP(frontend.ip), ...rule })];
}

/** ICMP errors are rate limited for each client, and a client of IPv6 may ignore the first. */
function answerOf({ protocol, clusterIP }: ResolvedPort['port']): string {
  if (protocol === 'tcp') return 'tcp-reset';
  return ipFamily(clusterIP) === 4 ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
}

/** Where nobody is led to endpoints, those who may ask are let on to be refused. */
function firewallRules(
  { port }: ResolvedPort,
  { frontend, route, outside, allowedSources }: ResolvedFrontend,
): readonly string[] {
  if (allowedSources.length === 0 || frontend.kind === 'nodePort') return [];
  const destination = toIP(frontend.ip);
  const rule = { destination, protocol: port.protocol, port: frontend.port };
  const comment = `${port.name} traffic not accepted by ${serviceChain('FW', port)}`;
  const isServed = route.endpoints.length > 0 || (outside?.endpoints.length ?? 0) > 0;
  const asking = isServed ? [] : allowedSources;
  return [
    ...asking.map((range) =>
      ruleText({
        source: fromCidr(range),
        ...rule,
        comment: `${port.name} loadbalancer IP`,
        target: '-j RETURN',
      }),
    ),
    ruleText({ ...rule, comment, target: '-j DROP' }),
  ];
}
