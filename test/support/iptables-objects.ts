/** Services of every kind, resolved, for the golden files of the iptables mode. */
import type { EndpointSlice, Service } from '../../src/kube/types.ts';
import { parseIP } from '../../src/net/ip.ts';
import { FrontendClaims } from '../../src/proxy/claims.ts';
import { parseSlice } from '../../src/proxy/endpoints.ts';
import { parseService } from '../../src/proxy/service.ts';
import { type ResolvedPort, resolvePort } from '../../src/proxy/state.ts';
import { service, slice } from './proxy-objects.ts';

type Spec = Partial<Service['spec']>;

const dualStack = (last: number): Spec => ({
  clusterIPs: [`172.30.0.${last}`, `fd00:172::${last}`],
  ipFamilies: ['IPv4', 'IPv6'],
});
const onPort = (nodePort: number): Spec => ({
  ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort }],
});
const threePorts = [
  { name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 },
  { name: 'dns', protocol: 'UDP', port: 53 },
  { name: 'sip', protocol: 'SCTP', port: 5060 },
] as const;

/** A Service of type LoadBalancer with two addresses that end in `last`. */
function balanced(name: string, last: number, spec: Spec): Service {
  const ips = [`198.51.100.${last}`, `2001:db8:100::${last}`];
  return {
    ...service(name, `172.30.0.${last}`, { type: 'LoadBalancer', ...dualStack(last), ...spec }),
    status: { loadBalancer: { ingress: ips.map((ip) => ({ ip })) } },
  };
}

export const SERVICES: readonly Service[] = [
  service('web', '172.30.0.1', { type: 'NodePort', ports: threePorts, ...dualStack(1) }),
  service('empty', '172.30.0.2', { type: 'NodePort', ...dualStack(2), ...onPort(30082) }),
  service('local', '172.30.0.3', { ...dualStack(3), internalTrafficPolicy: 'Local' }),
  service('not-here', '172.30.0.4', { ...dualStack(4), internalTrafficPolicy: 'Local' }),
  service('sticky', '172.30.0.5', {
    ...dualStack(5),
    sessionAffinity: 'ClientIP',
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
  }),
  balanced('ranges', 6, {
    ...onPort(30086),
    externalIPs: ['198.51.100.106', '2001:db8:100::106'],
    loadBalancerSourceRanges: ['203.0.113.0/24', '192.168.0.1/32', '2001:db8::/64'],
  }),
  balanced('ranges-empty', 7, {
    ...onPort(30087),
    loadBalancerSourceRanges: ['203.0.113.0/24', '2001:db8::/64'],
  }),
  balanced('edge', 8, {
    ...onPort(30088),
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 31088,
  }),
  balanced('edge-not-here', 9, { ...onPort(30089), externalTrafficPolicy: 'Local' }),
  {
    ...service('weighted', '172.30.0.10', dualStack(10)),
    metadata: {
      name: 'weighted',
      namespace: 'ns',
      annotations: { 'weft.dev/weights': '10.1.0.3=3, fd00:10:1::3=3' },
    },
  },
];

const backends: readonly { readonly service: string; readonly here: boolean }[] = [
  ...['local', 'sticky', 'ranges', 'edge', 'weighted'].map((name) => ({
    service: name,
    here: true,
  })),
  ...['not-here', 'edge-not-here'].map((name) => ({ service: name, here: false })),
];

export const SLICES: readonly EndpointSlice[] = [
  ...['10.1.0.3 10.2.0.2 10.2.0.3', 'fd00:10:1::3 fd00:10:2::2 fd00:10:2::3'].map((ips, i) =>
    slice({
      service: 'web',
      suffix: `${i}`,
      endpoints: ips.split(' '),
      ports: threePorts.map(({ name, protocol, port }) => ({ name, protocol, port: port + 8000 })),
    }),
  ),
  ...backends.flatMap(({ service: owner, here }) =>
    [
      ['10.1.0.3', '10.2.0.2'],
      ['fd00:10:1::3', 'fd00:10:2::2'],
    ].map(([near = '', far = ''], i) =>
      slice({
        service: owner,
        suffix: `${i}`,
        endpoints: [{ ip: near, nodeName: here ? 'node-a' : 'node-b' }, far],
      }),
    ),
  ),
];

/** What one family has of these objects, by Service. */
export function resolveAll(
  family: 4 | 6,
  services: readonly Service[] = SERVICES,
  slices: readonly EndpointSlice[] = SLICES,
): ReadonlyMap<string, readonly ResolvedPort[]> {
  const claims = new FrontendClaims();
  const records = slices
    .flatMap((each) => parseSlice(each, 'node-a') ?? [])
    .filter((slice) => slice.family === family);
  const entries = services.flatMap((each) => parseService(each).get(family) ?? []);
  for (const entry of entries) claims.update([], entry);
  const node = {
    nodeName: 'node-a',
    zone: undefined,
    nodeIP: parseIP(family === 4 ? '192.168.0.1' : 'fd00:192::1'),
  };
  const ports = entries.flatMap((entry) => entry.ports);
  const resolved = ports.map((port) => {
    const mine = records.filter((record) => record.service === port.service);
    return resolvePort(
      port,
      mine.map(({ record }) => record),
      claims,
      node,
    );
  });
  return Map.groupBy(resolved, ({ port }) => port.service);
}
