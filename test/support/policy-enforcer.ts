/** An Enforcer of a node of the lab, as an agent has it; and what it is told. */
import { parse } from 'yaml';
import { openConntrack } from '../../src/kernel/conntrack.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { decodeClusterNetworkPolicy } from '../../src/kube/policy/decode-cluster-network-policy.ts';
import { decodeNetworkPolicy } from '../../src/kube/policy/decode-network-policy.ts';
import { decodeNamespace, decodePod } from '../../src/kube/policy/decode-pods.ts';

import { nodes as allNodes, objectKey } from '../../src/kube/resources.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import type { PolicyChange } from '../../src/policy/change.ts';
import { Enforcer, type EnforcerOptions } from '../../src/policy/enforcer.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';
import type { TestNetns } from './netns.ts';
import type { LabPod, PolicyLab } from './policy-lab.ts';
import { nodeObject, type PodOptions, podObject } from './policy-objects.ts';

export interface OpenedEnforcer {
  readonly enforcer: Enforcer;
  /** Number of the last transaction in the namespace. */
  nftGeneration(): number;
  close(): Promise<void>;
}

const SETTINGS: EnforcerOptions['settings'] = {
  deniedInside: 'reject',
  clusterCIDRs: ['10.244.0.0/16', 'fd00:244::/32'].map(parseCidr),
  logGroup: undefined,
};

export interface EnforcerChoice {
  readonly nodeName: string;
  readonly connection?: NftablesConnection;
  readonly settings?: Partial<EnforcerOptions['settings']>;
}

/** With a connection, events and the rest of its own, all closed with it. Absent `netns`: that of this process. */
export function createEnforcer(
  { nodeName, connection, settings }: EnforcerChoice,
  netns?: Netns,
): Enforcer {
  const events = openNodeEvents(netns);
  const conntrack = openConntrack(netns);
  const enforcer = new Enforcer({
    ...{ nodeName, events, conntrack, clock: systemClock, log: createLogger('silent') },
    connection: connection ?? NftablesConnection.open(netns === undefined ? {} : { netns }),
    settings: { ...SETTINGS, ...settings },
  });
  const close = enforcer.close.bind(enforcer);
  enforcer.close = async () => {
    await close();
    for (const each of [events, conntrack, netns]) each?.close();
  };
  return enforcer;
}

export function openEnforcer(
  at: TestNetns,
  nodeName: string,
  settings: Partial<EnforcerOptions['settings']> = {},
): OpenedEnforcer {
  const enforcer = createEnforcer({ nodeName, settings }, netnses.open(at.path));
  const netns = netnses.open(at.path);
  const reader = NftablesConnection.open({ netns });
  return {
    enforcer,
    nftGeneration: () => reader.generation(),
    async close() {
      await enforcer.close();
      for (const each of [reader, netns]) each.close();
    },
  };
}

/** All objects of a lab, as one node is told them; labels are `pod: <name>`, those of namespaces their names. */
export function labFacts(
  { pods, nodes }: PolicyLab,
  node: number,
  options: (pod: LabPod) => PodOptions = () => ({}),
): PolicyChange[] {
  const namespaces = new Set(pods.map(({ name }) => name.split('/')[0] ?? ''));
  return [
    ...nodes.map(({ nodeName, ips }) => nodeChange(nodeName, Object.values(ips))),
    ...[...namespaces].map((name) => namespaceChange(name, { name })),
    ...pods.map((pod) =>
      podChange(pod.name, {
        ips: Object.values(pod.ips),
        node: nodes[pod.node]?.nodeName ?? '',
        ...options(pod),
      }),
    ),
    ...pods.filter((pod) => pod.node === node).map(localPodChange),
  ];
}

export function nodeChange(name: string, ips: readonly string[], labels = {}): PolicyChange {
  const now = allNodes().decode(nodeObject(name, ips, labels), 'strict');
  return { kind: 'node', key: name, now };
}

export function namespaceChange(name: string, labels: Record<string, string>): PolicyChange {
  const now = decodeNamespace({ metadata: { name, labels } }, 'strict');
  return { kind: 'namespace', key: name, now };
}

export function podChange(key: string, options: PodOptions): PolicyChange {
  return { kind: 'pod', key, now: decodePod(podObject(key, options), 'strict') };
}

export function localPodChange({ name, ips }: LabPod): PolicyChange {
  return localPodOf(name, Object.values(ips));
}

export function localPodOf(key: string, ips: readonly string[]): PolicyChange {
  return { kind: 'localPod', key, now: { key, uid: undefined, ips: ips.map(parseIP) } };
}

/** YAML of a NetworkPolicy or ClusterNetworkPolicy, without apiVersion. */
export function policyChange(text: string): PolicyChange {
  const object = parse(text) as { kind: string };
  if (object.kind === 'NetworkPolicy') {
    const now = decodeNetworkPolicy(object, 'strict');
    return { kind: 'networkPolicy', key: objectKey(now), now };
  }
  const now = decodeClusterNetworkPolicy(object, 'strict');
  return { kind: 'clusterNetworkPolicy', key: objectKey(now), now };
}
