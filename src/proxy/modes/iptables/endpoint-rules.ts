/** The rules that spread connections over the endpoints of a ServicePort, and those that end there. */

import { hostCidr } from '../../../net/cidr.ts';
import { formatHostPort } from '../../../net/host-port.ts';
import { ipFamily } from '../../../net/ip.ts';
import type { Endpoint } from '../../endpoints.ts';
import type { ResolvedPort } from '../../state.ts';
import type { WeighedEndpoints } from '../../weights.ts';
import { CHAIN, endpointChain } from './chain-names.ts';
import { fromCidr, ruleText } from './rule-text.ts';

export interface EndpointOptions {
  /** Rules of endpoints say whose they are. */
  readonly hasEndpointComments: boolean;
}

/** `10.1.0.3:80` or `[fd00::3]:80` */
function addressText({ target, port }: Endpoint): string {
  return formatHostPort(target.ip, port);
}

/** Who was here keeps the endpoint; the others are spread by the weights. */
export function endpointRules(
  { port }: ResolvedPort,
  { endpoints, weights }: WeighedEndpoints,
  { hasEndpointComments }: EndpointOptions,
): readonly string[] {
  const rows = endpoints.map((endpoint, i) => {
    const address = addressText(endpoint);
    const comment = hasEndpointComments ? `${port.name} -> ${address}` : undefined;
    return { comment, chain: endpointChain(port, address), weight: weights?.[i] ?? 1 };
  });
  const { affinitySeconds } = port.policy;
  const returning =
    affinitySeconds === undefined
      ? []
      : rows.map(({ comment, chain }) => {
          const matches = [
            `-m recent --rcheck --seconds ${affinitySeconds} --reap --name ${chain} ${listedBySource(endpoints)}`,
          ];
          return ruleText({ comment, matches, target: `-j ${chain}` });
        });
  let left = rows.reduce((sum, { weight }) => sum + weight, 0);
  const spread = rows.map(({ comment, chain, weight }, i) => {
    const probability = (weight / left).toFixed(10);
    left -= weight;
    const isLast = i === rows.length - 1;
    const matches = isLast ? [] : [`-m statistic --mode random --probability ${probability}`];
    return ruleText({ comment, matches, target: `-j ${chain}` });
  });
  return [...returning, ...spread];
}

/** Whole source addresses are remembered, as is the default. */
function listedBySource([first]: readonly Endpoint[]): string {
  const isV6 = first !== undefined && ipFamily(first.target.ip) === 6;
  const mask = isV6 ? 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' : '255.255.255.255';
  return `--mask ${mask} --rsource`;
}

export function endpointChainRules(
  { port }: ResolvedPort,
  endpoint: Endpoint,
  { hasEndpointComments }: EndpointOptions,
): readonly string[] {
  const { protocol } = port;
  const address = addressText(endpoint);
  const comment = hasEndpointComments ? port.name : undefined;
  const matches =
    port.policy.affinitySeconds === undefined
      ? []
      : [`-m recent --set --name ${endpointChain(port, address)} ${listedBySource([endpoint])}`];
  const hairpin = fromCidr(hostCidr(endpoint.target.ip));
  return [
    ruleText({ source: hairpin, comment, target: `-j ${CHAIN.markMasquerade}` }),
    ruleText({
      ...{ protocol, comment },
      matches: [...matches, `-m ${protocol}`],
      target: `-j DNAT --to-destination ${address}`,
    }),
  ];
}

/** Those of several lists, each once, with their addressText as key. */
export function uniqueEndpoints(...lists: readonly WeighedEndpoints[]) {
  const unique = new Map<string, Endpoint>();
  for (const { endpoints } of lists) {
    for (const endpoint of endpoints) unique.set(addressText(endpoint), endpoint);
  }
  return Array.from(unique, ([key, endpoint]) => ({ key, endpoint }));
}
