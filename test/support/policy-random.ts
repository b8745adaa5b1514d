/** Clusters at random, small enough that rules often meet: objects as the decoders give them. */
import type {
  ClusterNetworkPolicy,
  ClusterPeer,
  ClusterProtocol,
  ClusterRule,
  LabelSelector,
  NamedPort,
  Namespace,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicyRule,
  Pod,
} from '../../src/kube/policy/types.ts';
import type { Node, Protocol } from '../../src/kube/types.ts';
import { cidrOf } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import type { PolicyChange } from '../../src/policy/change.ts';

export const OWN_NODE = 'n1';
const NAMESPACES = ['x', 'y', 'z'];
const NODES = [OWN_NODE, 'n2', 'n3'];
const PODS = 5;
const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];
export const PORTS = [1, 79, 80, 81, 443, 8080, 65_535];
const CIDRS = [
  ...['0.0.0.0/0', '10.0.0.0/8', '10.0.1.0/24', '10.0.1.2/32', '10.0.2.0/23', '192.168.0.0/16'],
  ...['10.0.1.0/31', '10.128.0.0/9', '203.0.113.0/24', '255.255.255.255/32', '0.0.0.0/1'],
  ...['::/0', 'fd00::/8', 'fd00:0:0:1::/64', 'fd00:0:0:1::2/128', '8000::/1', '2001:db8::/32'],
];
export const STRANGERS = [
  ...['203.0.113.7', '10.9.9.9', '255.255.255.255', '0.0.0.1', '10.0.1.200'],
  ...['2001:db8::7', 'fd00:0:0:1::99', 'ffff::1'],
].map(parseIP);

/** mulberry32: the same numbers for the same seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to `end - 1`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new RangeError('nothing to pick from');
    return value;
  }

  some<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make);
  }
}

/** A whole cluster as changes; local pods are those of OWN_NODE. */
export function randomCluster(random: Random): PolicyChange[] {
  const changes: PolicyChange[] = [];
  for (const name of NODES)
    changes.push({ kind: 'node', key: name, now: randomNode(random, name) });
  for (const name of NAMESPACES) {
    changes.push({ kind: 'namespace', key: name, now: randomNamespace(random, name) });
    for (let i = 0; i < PODS; i++) changes.push(...randomPod(random, name, i));
  }
  for (let i = random.below(5); i >= 0; i--) changes.push(randomPolicy(random));
  for (let i = random.below(4); i > 0; i--) changes.push(randomClusterPolicy(random));
  return changes;
}

/** One thing that happens to it. */
export function randomChange(random: Random): readonly PolicyChange[] {
  const namespace = random.pick(NAMESPACES);
  switch (random.below(8)) {
    case 0:
      return [{ kind: 'namespace', key: namespace, now: randomNamespace(random, namespace) }];
    case 1: {
      const name = random.pick(NODES);
      return [{ kind: 'node', key: name, now: randomNode(random, name) }];
    }
    case 2:
    case 3: {
      const change = randomPolicy(random);
      return [random.chance(40) ? { kind: 'networkPolicy', key: change.key } : change];
    }
    case 4: {
      const change = randomClusterPolicy(random);
      return [random.chance(40) ? { kind: 'clusterNetworkPolicy', key: change.key } : change];
    }
    case 5: {
      const key = `${namespace}/p${random.below(PODS)}`;
      return [
        { kind: 'localPod', key },
        { kind: 'pod', key },
      ];
    }
    default:
      return randomPod(random, namespace, random.below(PODS));
  }
}

/** Pods of a number are always of the same node. */
function randomPod(random: Random, namespace: string, i: number): readonly PolicyChange[] {
  const key = `${namespace}/p${i}`;
  const isLocal = i < 3;
  const at = NAMESPACES.indexOf(namespace) + 1;
  const ips = [`10.0.${at}.${i + 1}`, ...(random.chance(80) ? [`fd00::${at}:0:0:${i + 1}`] : [])];
  const isHost = !isLocal && random.chance(10);
  const nodeName = isLocal ? OWN_NODE : random.pick(['n2', 'n3']);
  const uid = `uid-${key}`;
  const now: Pod = {
    metadata: { namespace, name: `p${i}`, uid, labels: randomLabels(random) },
    nodeName,
    usesHostNetwork: isHost,
    hasEnded: !isLocal && random.chance(10),
    ips,
    ports: random.some(3, () => randomNamedPort(random)),
  };
  const pod: PolicyChange = { kind: 'pod', key, now };
  if (!isLocal) return [pod];
  const local = { key, uid, ips: ips.map(parseIP) };
  return [pod, { kind: 'localPod', key, now: local }];
}

function randomNamedPort(random: Random): NamedPort {
  const protocol = random.pick(PROTOCOLS);
  return { name: random.pick(['web', 'dns', '']), protocol, port: random.pick(PORTS) };
}

function randomNamespace(random: Random, name: string): Namespace {
  const labels = { ...randomLabels(random), 'kubernetes.io/metadata.name': name };
  return { metadata: { namespace: '', name, labels } };
}

function randomNode(random: Random, name: string): Node {
  const i = NODES.indexOf(name) + 1;
  const addresses = [`192.168.0.${i}`, `fd00::ffff:${i}`].map((address) => ({
    type: 'InternalIP' as const,
    address,
  }));
  return { metadata: { namespace: '', name, labels: randomLabels(random) }, status: { addresses } };
}

function randomLabels(random: Random): Record<string, string> {
  return Object.fromEntries(
    random.some(2, () => [random.pick(['a', 'b']), random.pick(['1', '2'])]),
  );
}

function randomSelector(random: Random): LabelSelector {
  return {
    matchLabels: random.chance(50) ? randomLabels(random) : {},
    matchExpressions: random.some(1, () => ({
      key: random.pick(['a', 'b']),
      operator: random.pick(['In', 'NotIn', 'Exists', 'DoesNotExist'] as const),
      values: random.some(2, () => random.pick(['1', '2'])),
    })),
  };
}

function randomPolicy(random: Random): PolicyChange & { readonly key: string } {
  const namespace = random.pick(NAMESPACES);
  const name = random.pick(['p', 'q', 'r']);
  const rules = () => random.some(3, () => randomRule(random));
  const ingress = random.chance(60) ? { ingress: rules() } : {};
  const egress = random.chance(60) ? { egress: rules() } : {};
  const now: NetworkPolicy = {
    metadata: { namespace, name },
    podSelector: random.chance(40)
      ? { matchLabels: {}, matchExpressions: [] }
      : randomSelector(random),
    rules: { ...ingress, ...egress },
  };
  return { kind: 'networkPolicy', key: `${namespace}/${name}`, now };
}

function randomRule(random: Random): NetworkPolicyRule {
  return {
    peers: random.some(2, () => randomPeer(random)),
    ports: random.some(2, () => randomPort(random)),
  };
}

function randomPeer(random: Random): NetworkPolicyPeer {
  switch (random.below(5)) {
    case 0:
      return { podSelector: randomSelector(random) };
    case 1:
      return { namespaceSelector: randomSelector(random) };
    case 2:
      return { namespaceSelector: randomSelector(random), podSelector: randomSelector(random) };
    default:
      return {
        ipBlock: { cidr: randomCidr(random), except: random.some(2, () => randomCidr(random)) },
      };
  }
}

/** Most overlap with others, and many begin or end where others do. */
function randomCidr(random: Random): string {
  if (random.chance(60)) return random.pick(CIDRS);
  const byte = () => random.below(256);
  return random.chance(70)
    ? cidrOf(parseIP(`10.${byte()}.${byte()}.${byte()}`), 8 + random.below(25))
    : cidrOf(parseIP(`fd00::${byte()}:0:${byte()}`), 8 + random.below(121));
}

function randomPort(random: Random): NetworkPolicyPort {
  const protocol = random.chance(3) ? undefined : random.pick(PROTOCOLS);
  switch (random.below(4)) {
    case 0:
      return { protocol };
    case 1:
      return { protocol, port: random.pick(['web', 'dns']) };
    case 2:
      return { protocol, port: random.pick(PORTS) };
    default: {
      const [first = 1, last = 1] = [random.pick(PORTS), random.pick(PORTS)].sort((a, b) => a - b);
      return { protocol, port: first, endPort: last };
    }
  }
}

function randomClusterPolicy(random: Random): PolicyChange & { readonly key: string } {
  const name = random.pick(['c1', 'c2', 'c3']);
  const rules = () => random.some(3, () => randomClusterRule(random));
  const now: ClusterNetworkPolicy = {
    metadata: { namespace: '', name },
    tier: random.pick(['Admin', 'Baseline']),
    priority: random.below(3),
    subject: random.chance(5) ? { kind: 'unknown', what: 'x' } : randomPods(random),
    rules: { ingress: rules(), egress: rules() },
  };
  return { kind: 'clusterNetworkPolicy', key: name, now };
}

function randomPods(random: Random): Extract<ClusterPeer, { kind: 'namespaces' | 'pods' }> {
  if (random.chance(50)) return { kind: 'namespaces', selector: randomSelector(random) };
  const namespaceSelector = randomSelector(random);
  return { kind: 'pods', pods: { namespaceSelector, podSelector: randomSelector(random) } };
}

function randomClusterRule(random: Random): ClusterRule {
  return {
    name: undefined,
    action: random.pick(['Accept', 'Deny', 'Pass']),
    peers: random.some(2, () => randomClusterPeer(random)),
    protocols: random.some(2, () => randomProtocol(random)),
  };
}

function randomClusterPeer(random: Random): ClusterPeer {
  switch (random.below(8)) {
    case 0:
      return { kind: 'nodes', selector: randomSelector(random) };
    case 1:
    case 2:
      return { kind: 'networks', cidrs: random.some(3, () => randomCidr(random)) };
    case 3:
      return random.chance(30) ? { kind: 'unknown', what: 'x' } : randomPods(random);
    default:
      return randomPods(random);
  }
}

function randomProtocol(random: Random): ClusterProtocol {
  if (random.chance(3)) return { kind: 'unknown', what: 'x' };
  if (random.chance(30)) return { kind: 'named', name: random.pick(['web', 'dns']) };
  const protocol = random.pick(PROTOCOLS);
  if (random.chance(30)) return { kind: 'ports', protocol };
  const [first = 1, last = 1] = [random.pick(PORTS), random.pick(PORTS)].sort((a, b) => a - b);
  return { kind: 'ports', protocol, range: [first, last] };
}
