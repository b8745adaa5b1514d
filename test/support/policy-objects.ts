import { parse } from 'yaml';
import { decodeClusterNetworkPolicy } from '../../src/kube/policy/decode-cluster-network-policy.ts';
import { decodeNetworkPolicy } from '../../src/kube/policy/decode-network-policy.ts';
import { decodeNamespace, decodePod } from '../../src/kube/policy/decode-pods.ts';
import { nodes as allNodes } from '../../src/kube/resources.ts';
import type { Probe } from '../../src/policy/probe.ts';
import { answerProbe, parseProbe } from '../../src/policy/probes.ts';
import { policyWorld } from '../../src/policy/world.ts';

export interface PodOptions {
  readonly labels?: Record<string, string>;
  readonly ips?: readonly string[];
  /** `name:port/protocol`. */
  readonly ports?: readonly string[];
  readonly node?: string;
  readonly hostNetwork?: boolean;
  readonly phase?: string;
  readonly initPorts?: readonly string[];
}

/** A pod `namespace/name` as the API has it, with the label `pod: <name>` unless labels are given. */
export function podObject(key: string, options: PodOptions = {}): unknown {
  const [namespace, name] = key.split('/');
  const { labels = { pod: name ?? '' }, ips = [], ports = [], node, hostNetwork, phase } = options;
  const containerPorts = (texts: readonly string[]) =>
    texts.map((text) => {
      const [, portName, number, protocol] = /^(.*):(\d+)\/(.*)$/.exec(text) ?? [];
      return { name: portName, containerPort: Number(number), protocol };
    });
  const { initPorts } = options;
  return {
    metadata: { namespace, name, labels },
    spec: {
      nodeName: node,
      hostNetwork,
      containers: [{ ports: containerPorts(ports) }],
      ...(initPorts && {
        initContainers: [{ restartPolicy: 'Always', ports: containerPorts(initPorts) }],
      }),
    },
    status: { phase, podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) },
  };
}

export interface ClusterOptions {
  readonly pods: readonly unknown[];
  readonly namespaces?: Readonly<Record<string, Record<string, string>>>;
  readonly nodes?: readonly unknown[];
  /** YAML of NetworkPolicies and ClusterNetworkPolicies, without apiVersion. */
  readonly policies?: readonly string[];
}

/** A cluster of objects as a world that answers probes such as `x/a -> y/b:80/tcp`. */
export function policyCluster({
  pods,
  namespaces = {},
  nodes = [],
  policies = [],
}: ClusterOptions) {
  const objects = policies.map((text) => parse(text) as { kind: string });
  const ofKind = (kind: string) => objects.filter((object) => object.kind === kind);
  const world = policyWorld({
    pods: pods.map((pod) => decodePod(pod, 'strict')),
    namespaces: Object.entries(namespaces).map(([name, labels]) =>
      decodeNamespace({ metadata: { name, labels } }, 'strict'),
    ),
    nodes: nodes.map((node) => allNodes().decode(node, 'strict')),
    networkPolicies: ofKind('NetworkPolicy').map((p) => decodeNetworkPolicy(p, 'strict')),
    clusterNetworkPolicies: ofKind('ClusterNetworkPolicy').map((p) =>
      decodeClusterNetworkPolicy(p, 'strict'),
    ),
  });
  const answer = (text: string, more: Partial<Probe> = {}) =>
    answerProbe({ ...parseProbe(text, true), ...more }, world);
  return {
    world,
    answer,
    allows: (text: string, more?: Partial<Probe>) => {
      const answered = answer(text, more);
      if ('error' in answered) throw new Error(answered.error);
      return answered.allowed;
    },
  };
}

export function nodeObject(name: string, ips: readonly string[], labels = {}): unknown {
  return {
    metadata: { name, labels },
    status: { addresses: ips.map((address) => ({ type: 'InternalIP', address })) },
  };
}
