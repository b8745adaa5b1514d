import type { ClusterProtocol, NetworkPolicyPort } from '../kube/policy/types.ts';
import type { Protocol } from '../kube/types.ts';
import type { Party } from './parties.ts';

/** What a connection begins with; `port` is 0 for ICMP, which has none. */
export interface Traffic {
  readonly protocol: Protocol | 'ICMP';
  readonly port: number;
}

/** Whether traffic to a destination is meant; named ports are the destination's. */
export type PortMatcher = (traffic: Traffic, destination: Party) => boolean;

/** Ports of a rule; none means everything, protocols without ports included. */
export function portsMatcher(ports: readonly NetworkPolicyPort[]): PortMatcher {
  if (ports.length === 0) return () => true;
  const matchers = ports.map(portMatcher);
  return (traffic, destination) => matchers.some((matches) => matches(traffic, destination));
}

function portMatcher({ protocol, port, endPort }: NetworkPolicyPort): PortMatcher {
  if (protocol === undefined) return () => false;
  if (port === undefined) return (traffic) => traffic.protocol === protocol;
  if (typeof port === 'string') {
    return (traffic, destination) =>
      traffic.protocol === protocol && hasNamedPort(destination, port, traffic);
  }
  return rangeMatcher(protocol, port, endPort ?? port);
}

/** Undefined for a kind of protocol that is not known. */
export function clusterProtocolMatcher(entry: ClusterProtocol): PortMatcher | undefined {
  switch (entry.kind) {
    case 'ports':
      return rangeMatcher(entry.protocol, ...(entry.range ?? [0, 65_535]));
    case 'named':
      return (traffic, destination) => hasNamedPort(destination, entry.name, traffic);
    case 'unknown':
      return undefined;
  }
}

function rangeMatcher(protocol: Protocol, start: number, end: number): PortMatcher {
  return (traffic) => traffic.protocol === protocol && traffic.port >= start && traffic.port <= end;
}

/** Every container port of that name counts: two containers may use one name for different ports. */
function hasNamedPort(destination: Party, name: string, { protocol, port }: Traffic): boolean {
  return (
    destination.kind === 'pod' &&
    destination.ports.some(
      (named) => named.name === name && named.protocol === protocol && named.port === port,
    )
  );
}
