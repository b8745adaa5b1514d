/** Who is masqueraded: three policies by three origins by three kinds of frontend, by settings. */
import type { Flow, FlowGroup, Want } from './flow.ts';
import { masqueraded, own } from './flow.ts';
import type { Net } from './net.ts';
import { endpointsOf, loadBalancer, sliceOf } from './objects.ts';

const SETTINGS = [
  'base',
  'byBridge',
  'noDetector',
  'masqueradeAll',
  'noDetectorMasqueradeAll',
] as const;
type MatrixSettings = (typeof SETTINGS)[number];
const POLICIES = [
  { name: 'cluster', n: 60, spec: {} },
  { name: 'external-local', n: 61, spec: { externalTrafficPolicy: 'Local' } },
  { name: 'internal-local', n: 62, spec: { internalTrafficPolicy: 'Local' } },
] as const;
type PolicyName = (typeof POLICIES)[number]['name'];
type Client = 'client' | 'node' | 'outside';

export function masqueradeGroups(net: Net): readonly FlowGroup[] {
  return SETTINGS.map((settings) => ({
    name: 'masquerade matrix',
    settings,
    services: POLICIES.map(({ name, n, spec }) =>
      loadBalancer(`matrix-${name}`, net, n, { nodePort: 30000 + n, ips: [net.lb(n)], spec }),
    ),
    slices: POLICIES.map(({ name }) => sliceOf(`matrix-${name}`, endpointsOf(net, 'a', 'remote'))),
    flows: POLICIES.flatMap(({ name, n }) =>
      (['client', 'node', 'outside'] as const).flatMap((from) =>
        flowsOf(net, settings, name, n, from),
      ),
    ),
  }));
}

function flowsOf(
  net: Net,
  settings: MatrixSettings,
  policy: PolicyName,
  n: number,
  from: Client,
): readonly Flow[] {
  const external = externalWant(settings, policy, from);
  const name = (what: string) => `${from} to ${what} of ${policy}`;
  return [
    {
      name: name('clusterIP'),
      from,
      to: net.vip(n),
      port: 80,
      want: clusterWant(settings, policy, from),
    },
    { name: name('NodePort'), from, to: net.node, port: 30000 + n, want: external },
    { name: name('load balancer'), from, to: net.lb(n), port: 80, want: external },
  ];
}

function clusterWant(settings: MatrixSettings, policy: PolicyName, from: Client): Want {
  const servers = policy === 'internal-local' ? (['a'] as const) : (['a', 'remote'] as const);
  const isMasqueraded = {
    base: from !== 'client',
    byBridge: from !== 'client',
    noDetector: false,
    masqueradeAll: true,
    noDetectorMasqueradeAll: true,
  };
  return isMasqueraded[settings] ? masqueraded(...servers) : own(...servers);
}

function externalWant(settings: MatrixSettings, policy: PolicyName, from: Client): Want {
  if (policy !== 'external-local') return masqueraded('a', 'remote');
  if (from === 'node') return masqueraded('a', 'remote');
  const hasDetector = settings !== 'noDetector' && settings !== 'noDetectorMasqueradeAll';
  return from === 'client' && hasDetector ? own('a', 'remote') : own('a');
}
