/** Which ports the matrix of `weft policy check` asks about beyond those that containers declare. */
import type {
  ClusterNetworkPolicy,
  NamedPort,
  NetworkPolicy,
  Pod,
} from '../../kube/policy/types.ts';
import type { Protocol } from '../../kube/types.ts';
import { labelMatcher } from '../../policy/selectors.ts';

interface Policies {
  readonly networkPolicies: readonly NetworkPolicy[];
  readonly clusterNetworkPolicies: readonly ClusterNetworkPolicy[];
}

export interface PodsWithPorts {
  readonly pods: readonly Pod[];
  /** Ports of policies that no pod got. */
  readonly leftOut: number;
}

/** Stands for all that nobody names, of a pod that declares none. */
const ANY_PORT: NamedPort = { name: '', protocol: 'TCP', port: 80 };
/** Every port more is a line for each pair of pods. */
const MOST_PORTS = 50;

/**
 * Pods that declare, besides their own ports, those that policies name for them: in the ingress of a
 * policy that selects the pod, in any egress, and in cluster policies; of a range its two ends. They
 * get no name, so that what a policy calls by name stays what a container calls so.
 */
export function withPolicyPorts(
  pods: readonly Pod[],
  { networkPolicies, clusterNetworkPolicies }: Policies,
): PodsWithPorts {
  const everywhere = [
    ...networkPolicies.flatMap(({ rules }) => portsOf(rules.egress)),
    ...clusterNetworkPolicies.flatMap(clusterPorts),
  ];
  const ingress = networkPolicies.flatMap(({ metadata, podSelector, rules }) => {
    const ports = portsOf(rules.ingress);
    if (ports.length === 0) return [];
    return [{ namespace: metadata.namespace, isSelected: labelMatcher(podSelector), ports }];
  });
  let leftOut = 0;
  const changed = pods.map((pod) => {
    const { namespace, labels = {} } = pod.metadata;
    const own = ingress.flatMap((policy) =>
      policy.namespace === namespace && policy.isSelected(labels) ? policy.ports : [],
    );
    const ports = distinct([...own, ...everywhere]);
    leftOut = Math.max(leftOut, ports.length - MOST_PORTS);
    const declared = pod.ports.length === 0 ? [ANY_PORT] : pod.ports;
    return { ...pod, ports: [...declared, ...ports.slice(0, MOST_PORTS)] };
  });
  return { pods: changed, leftOut };
}

function portsOf(rules: NetworkPolicy['rules']['ingress'] = []): readonly NamedPort[] {
  return distinct(
    rules.flatMap(({ ports }) =>
      ports.flatMap(({ protocol, port, endPort }) => {
        if (protocol === undefined || typeof port !== 'number') return [];
        return endsOf(protocol, port, endPort ?? port);
      }),
    ),
  );
}

function clusterPorts({ rules }: ClusterNetworkPolicy): readonly NamedPort[] {
  return distinct(
    [...rules.ingress, ...rules.egress].flatMap(({ protocols }) =>
      protocols.flatMap((entry) => {
        if (entry.kind !== 'ports' || entry.range === undefined) return [];
        return endsOf(entry.protocol, ...entry.range);
      }),
    ),
  );
}

function endsOf(protocol: Protocol, start: number, end: number): readonly NamedPort[] {
  return [...new Set([start, end])].map((port) => ({ name: '', protocol, port }));
}

function distinct(ports: readonly NamedPort[]): readonly NamedPort[] {
  return [...new Map(ports.map((each) => [`${each.protocol} ${each.port}`, each])).values()];
}
