import type { ClusterProtocol, NamedPort, NetworkPolicyPort } from '../kube/policy/types.ts';
import type { Protocol } from '../kube/types.ts';
import type { Party } from './parties.ts';

/** What a connection begins with; `port` is 0 for ICMP, which has none. */
export interface Traffic {
  readonly protocol: Protocol | 'ICMP';
  readonly port: number;
}

export interface PortRange {
  readonly protocol: Protocol;
  readonly first: number;
  readonly last: number;
}

/** Ports that a rule means; those that it names are the destination's. */
export type RulePort =
  | ({ readonly kind: 'range' } & PortRange)
  | {
      readonly kind: 'named';
      readonly name: string;
      /** Undefined: of any protocol. */
      readonly protocol: Protocol | undefined;
    };

/** `everything` includes protocols without ports. */
export type RulePorts = 'everything' | readonly RulePort[];

const LAST_PORT = 65_535;

/** Ports of a rule; none means everything. A protocol that is not known matches nothing. */
export function policyPorts(ports: readonly NetworkPolicyPort[]): RulePorts {
  if (ports.length === 0) return 'everything';
  return ports.flatMap(({ protocol, port, endPort }): readonly RulePort[] => {
    if (protocol === undefined) return [];
    if (typeof port === 'string') return [{ kind: 'named', name: port, protocol }];
    if (port === undefined) return [{ kind: 'range', protocol, first: 0, last: LAST_PORT }];
    return [{ kind: 'range', protocol, first: port, last: endPort ?? port }];
  });
}

/** Undefined with a kind of protocol that is not known. */
export function clusterPorts(entries: readonly ClusterProtocol[]): RulePorts | undefined {
  if (entries.length === 0) return 'everything';
  const ports: RulePort[] = [];
  for (const entry of entries) {
    if (entry.kind === 'unknown') return undefined;
    if (entry.kind === 'named') {
      ports.push({ kind: 'named', name: entry.name, protocol: undefined });
    } else {
      const [first, last] = entry.range ?? [0, LAST_PORT];
      ports.push({ kind: 'range', protocol: entry.protocol, first, last });
    }
  }
  return ports;
}

/** What a rule's port is at a destination with these ports; nothing where none has the name. */
export function portRanges(port: RulePort, named: readonly NamedPort[]): readonly PortRange[] {
  if (port.kind === 'range') return [port];
  // Every container port of that name counts: two containers may use one name for different ports.
  return named
    .filter(({ name }) => name === port.name)
    .filter(({ protocol }) => port.protocol === undefined || port.protocol === protocol)
    .map(({ protocol, port: number }) => ({ protocol, first: number, last: number }));
}

/** Whether traffic to a destination is meant. */
export function isPortOf(ports: RulePorts, traffic: Traffic, destination: Party): boolean {
  if (ports === 'everything') return true;
  const { protocol, port } = traffic;
  const named = destination.kind === 'pod' ? destination.ports : [];
  return ports.some((entry) =>
    portRanges(entry, named).some(
      (range) => range.protocol === protocol && port >= range.first && port <= range.last,
    ),
  );
}
