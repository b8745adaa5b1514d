/** The objects that a connectivity test makes, and what it tries with them. Pure. */
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import type { Plan } from './checks.ts';
import { joined, PlanBuilder, type Target, WHERE_OUTSIDE } from './plan-builder.ts';

/** On every object: who was killed leaves its namespace, and the next run finds it. */
export const TEST_LABEL = 'weft.dev/connectivity-test';
const ROLE_LABEL = 'weft.dev/connectivity-role';

/** By the name of the node, on the namespace. */
export const RUN_BY = 'weft.dev/connectivity-run-by';
/** Of every run, with three random bytes. */
export const NAMESPACE_PREFIX = 'weft-connectivity-';

export const SERVER_PORT = 8080;
export const HOST_PORT = 18_080;

/** `client`, `here`, `guarded` and `published` are of this node, `away-…` of others. */
export type Role = 'client' | 'here' | 'guarded' | 'published' | `away-${number}`;

export interface TestSettings {
  readonly namespace: string;
  readonly image: string;
  /** What serves TCP at SERVER_PORT, as words. */
  readonly command: readonly string[];
  /** By name. */
  readonly thisNode: string;
  readonly otherNodes: readonly string[];
}

/** In the order in which they are made, each with the collection it goes to. */
export function testObjects(settings: TestSettings) {
  const { namespace } = settings;
  const ofNamespace = `/api/v1/namespaces/${namespace}`;
  const pods = rolesOf(settings).map(({ role, node }) => ({
    path: `${ofNamespace}/pods`,
    object: podObject(settings, role, node),
  }));
  return [
    {
      path: '/api/v1/namespaces',
      object: {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: {
          ...{ name: namespace, labels: { [TEST_LABEL]: '' } },
          annotations: { [RUN_BY]: settings.thisNode },
        },
      },
    },
    {
      path: `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`,
      object: policyObject(namespace),
    },
    { path: `${ofNamespace}/services`, object: serviceObject(namespace) },
    ...pods,
  ];
}

export function rolesOf({ thisNode, otherNodes }: Pick<TestSettings, 'thisNode' | 'otherNodes'>) {
  const own = (['client', 'here', 'guarded', 'published'] as const).map((role) => {
    return { role: role as Role, node: thisNode };
  });
  const away = otherNodes.map((node, at) => ({ role: `away-${at + 1}` as Role, node }));
  return [...own, ...away];
}

function podObject({ namespace, image, command }: TestSettings, role: Role, nodeName: string) {
  const isPublished = role === 'published';
  const port = { containerPort: SERVER_PORT, ...(isPublished ? { hostPort: HOST_PORT } : {}) };
  const isServer = role === 'here' || role.startsWith('away-');
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...{ name: role, namespace },
      labels: { [TEST_LABEL]: '', [ROLE_LABEL]: role, ...(isServer ? { app: 'web' } : {}) },
    },
    spec: {
      nodeName,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      tolerations: [{ operator: 'Exists' }],
      containers: [
        {
          ...{ name: 'server', image, command, ports: [port] },
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  };
}

function serviceObject(namespace: string) {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace, labels: { [TEST_LABEL]: '' } },
    spec: {
      ...{ type: 'NodePort', ipFamilyPolicy: 'PreferDualStack', selector: { app: 'web' } },
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: SERVER_PORT }],
    },
  };
}

/** Only the client may reach `guarded`. */
function policyObject(namespace: string) {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'guarded', namespace, labels: { [TEST_LABEL]: '' } },
    spec: {
      podSelector: { matchLabels: { [ROLE_LABEL]: 'guarded' } },
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: { matchLabels: { [ROLE_LABEL]: 'client' } } }] }],
    },
  };
}

/** What became of the objects. */
export interface MadeObjects {
  readonly pods: ReadonlyMap<Role, readonly IP[]>;
  readonly nodes: ReadonlyMap<Role, string>;
  readonly clusterIPs: readonly IP[];
  readonly nodePort: number | undefined;
  readonly nodeAddresses: readonly IP[];
  /** Of the cluster's DNS; empty where there is none. */
  readonly dns: readonly IP[];
  readonly outside: readonly { readonly ip: IP; readonly port: number }[];
  /** The agent of this node enforces policies. */
  readonly hasPolicies: boolean;
}

const SERVICE_PORT = 80;
const DNS_PORT = 53;

export function planMade(made: MadeObjects): Plan {
  const ips = made.pods.get('client') ?? [];
  return joined(ips.map((from) => planFamily(made, from, ipFamily(from))));
}

function planFamily(made: MadeObjects, from: IP, family: IPFamily): Plan {
  const plan = new PlanBuilder(from, family);
  const target = (ips: readonly IP[] | undefined, port: number | undefined) => {
    const ip = ips?.find((each) => ipFamily(each) === family);
    return ip === undefined || port === undefined ? undefined : { ip, port };
  };
  const server = (role: Role) => target(made.pods.get(role), SERVER_PORT);
  addPods(plan, made, server);
  const none = 'it has no address of this family';
  plan.tcp('pod to Service', target(made.clusterIPs, SERVICE_PORT), none);
  plan.tcp('pod to NodePort', target(made.nodeAddresses, made.nodePort), none);
  plan.tcp('pod to host port', server('published') && target(made.nodeAddresses, HOST_PORT), none);
  plan.dns(target(made.dns, DNS_PORT));
  const outside = made.outside.find(({ ip }) => ipFamily(ip) === family);
  plan.tcp('pod to the outside', outside, WHERE_OUTSIDE);
  const [guarded, stranger] = [server('guarded'), server('here')];
  if (!made.hasPolicies) plan.skip('policies', 'this agent enforces none');
  else {
    plan.tcp('policy allows', guarded, NO_ADDRESS);
    if (guarded && stranger) plan.denied('policy denies', stranger.ip, guarded);
  }
  return plan;
}

const NO_ADDRESS = 'the pod has no address of this family';

function addPods(
  plan: PlanBuilder,
  { nodes }: MadeObjects,
  server: (role: Role) => Target | undefined,
): void {
  const here = server('here');
  plan.tcp('pod to pod, this node', here, NO_ADDRESS);
  if (here !== undefined) plan.full('full-size packet, this node', here.ip);
  const away = [...nodes].filter(([role]) => role.startsWith('away-'));
  if (away.length === 0) plan.skip('pod to pod, another node', 'there is no other node');
  for (const [role, node] of away) {
    const there = server(role);
    plan.tcp(`pod to pod, node ${node}`, there, NO_ADDRESS);
    if (there !== undefined) plan.full(`full-size packet, node ${node}`, there.ip);
  }
}
