/** A cluster with pods, policies and named ports as an Enforcer is told of it. */
import { decodeNetworkPolicy } from '../../src/kube/policy/decode-network-policy.ts';
import { decodeNamespace, decodePod } from '../../src/kube/policy/decode-pods.ts';
import { nodes as allNodes, objectKey } from '../../src/kube/resources.ts';
import { parseIP } from '../../src/net/ip.ts';
import type { PolicyChange } from '../../src/policy/change.ts';
import { nodeObject, podObject } from '../support/policy-objects.ts';

export const BENCH_NODE = 'n0';
const NAMESPACES = 10;
const APPS_PER_NAMESPACE = 10;
const PORTS = ['http:80/TCP', 'https:443/TCP', 'metrics:9090/TCP'];

export interface BenchSize {
  readonly localPods: number;
  readonly remotePods: number;
  /** At most one for each app. */
  readonly policies: number;
}

/** An app of a namespace is a Deployment whose pods are spread over all nodes. */
function appOf(number: number) {
  const app = number % (NAMESPACES * APPS_PER_NAMESPACE);
  return { namespace: `ns-${app % NAMESPACES}`, app: `app-${Math.floor(app / NAMESPACES)}` };
}

export function localIPs(number: number): readonly [string, string] {
  const high = Math.floor(number / 200);
  return [`10.244.${high}.${10 + (number % 200)}`, `fd00:244::${(number + 10).toString(16)}`];
}

function remoteIPs(number: number): readonly [string, string] {
  const high = Math.floor(number / 200);
  return [`10.245.${high}.${10 + (number % 200)}`, `fd00:245::${(number + 10).toString(16)}`];
}

/** Everything of a cluster, in the order in which an agent may be told. */
export function benchChanges(size: BenchSize): readonly PolicyChange[] {
  const { localPods, remotePods, policies } = size;
  const count = (length: number) => Array.from({ length }, (_, i) => i);
  return [
    ...count(localPods).map(localPod),
    nodeChange(BENCH_NODE, '192.0.2.1'),
    nodeChange('n1', '192.0.2.2'),
    ...count(NAMESPACES).map(namespaceChange),
    ...count(localPods).map((i) => podChange(i)),
    ...count(remotePods).map(remotePodChange),
    ...count(policies).map((i) => policyChange(i)),
  ];
}

export function localPod(number: number): PolicyChange {
  const key = localKey(number);
  const now = { key, uid: undefined, ips: localIPs(number).map(parseIP) };
  return { kind: 'localPod', key, now };
}

function localKey(number: number): string {
  return `${appOf(number).namespace}/local-${number}`;
}

/** `app` in the place of the pod's own. */
export function podChange(number: number, app = appOf(number).app): PolicyChange {
  const key = localKey(number);
  const options = { labels: { app }, ips: localIPs(number), ports: PORTS, node: BENCH_NODE };
  return { kind: 'pod', key, now: decodePod(podObject(key, options), 'strict') };
}

export function podGone(number: number): readonly PolicyChange[] {
  const key = localKey(number);
  return [
    { kind: 'pod', key },
    { kind: 'localPod', key },
  ];
}

function remotePodChange(number: number): PolicyChange {
  const { namespace, app } = appOf(number);
  const key = `${namespace}/remote-${number}`;
  const options = { labels: { app }, ips: remoteIPs(number), ports: PORTS, node: 'n1' };
  return { kind: 'pod', key, now: decodePod(podObject(key, options), 'strict') };
}

function namespaceChange(number: number): PolicyChange {
  const key = `ns-${number}`;
  const object = { metadata: { name: key, labels: { group: `g${number % 3}` } } };
  return { kind: 'namespace', key, now: decodeNamespace(object, 'strict') };
}

function nodeChange(key: string, ip: string): PolicyChange {
  return { kind: 'node', key, now: allNodes().decode(nodeObject(key, [ip]), 'strict') };
}

/**
 * Of the app by that number: three apps of its namespace and a group of namespaces may reach it, and it the
 * same three, blocks outside and DNS. Any UDP between pods of one app is allowed both ways.
 */
export function policyChange(number: number, port = 80): PolicyChange {
  const { namespace, app } = appOf(number);
  const others = [1, 2, 3].map((step) => appOf(number + step * NAMESPACES).app);
  const pods = (apps: readonly string[]) => ({
    podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: apps }] },
  });
  const own = { podSelector: { matchLabels: { app } } };
  const anyUDP = [{ protocol: 'UDP' }];
  const tcp = [{ port }, { port: 443 }, { port: 'metrics' }, { port: 8080 }];
  const spec = {
    podSelector: { matchLabels: { app } },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [
      { from: [pods(others)], ports: tcp },
      {
        from: [{ namespaceSelector: { matchLabels: { group: `g${number % 3}` } } }],
        ports: [{ port: 'metrics' }],
      },
      { from: [own], ports: [...anyUDP, { port: 8080 }] },
      {
        from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16', '10.244.0.0/15'] } }],
        ports: tcp,
      },
    ],
    egress: [
      { to: [pods(others)], ports: tcp },
      { to: [own], ports: [...anyUDP, { port: 8080 }] },
      { to: [{ ipBlock: { cidr: `198.51.${number}.0/24` } }] },
      { to: [{ namespaceSelector: {} }], ports: [{ protocol: 'UDP', port: 53 }] },
    ],
  };
  const now = decodeNetworkPolicy({ metadata: { namespace, name: `p-${number}` }, spec }, 'strict');
  return { kind: 'networkPolicy', key: objectKey(now), now };
}
