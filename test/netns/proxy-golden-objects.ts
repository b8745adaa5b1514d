/** Objects whose tables the golden files show: one Service for each thing a Service can ask for. */
import type { EndpointSlice, Service } from '../../src/kube/types.ts';
import { service, slice } from '../support/proxy-objects.ts';

const ports = [
  { name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 },
  { name: 'dns', protocol: 'UDP', port: 53 },
  { name: 'sip', protocol: 'SCTP', port: 5060 },
] as const;
const affinity = {
  sessionAffinity: 'ClientIP',
  sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
} as const;
const dualStack = (last: number) => ({
  clusterIPs: [`172.30.0.${last}`, `fd00:172::${last}`],
  ipFamilies: ['IPv4', 'IPv6'] as const,
});
export const services: readonly Service[] = [
  service('web', '172.30.0.1', { type: 'NodePort', ports, ...dualStack(1) }),
  service('empty', '172.30.0.2'),
  service('local', '172.30.0.3', { internalTrafficPolicy: 'Local' }),
  balanced('lb', '198.51.100.4', '2001:db8:100::4', {
    ...dualStack(4),
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30081 }],
    externalIPs: ['198.51.100.14', '2001:db8:100::14'],
    loadBalancerSourceRanges: ['203.0.113.0/24', '192.168.7.7/32', '2001:db8::/64'],
  }),
  balanced('edge', '198.51.100.5', '2001:db8:100::5', {
    ...dualStack(5),
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30082 }],
    externalTrafficPolicy: 'Local',
  }),
  balanced('elsewhere', '198.51.100.6', '2001:db8:100::6', {
    ...dualStack(6),
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30083 }],
    externalTrafficPolicy: 'Local',
    loadBalancerSourceRanges: ['203.0.113.0/24', '2001:db8::/64'],
  }),
];

/** A Service of type LoadBalancer with these addresses. */
function balanced(name: string, v4: string, v6: string, spec: Partial<Service['spec']>): Service {
  return {
    ...service(name, spec.clusterIPs?.[0] ?? '', { type: 'LoadBalancer', ...spec }),
    status: { loadBalancer: { ingress: [{ ip: v4 }, { ip: v6 }] } },
  };
}

const targets = ports.map(
  ({ nodePort, ...port }: { nodePort?: number } & (typeof ports)[number]) => ({
    ...port,
    port: port.port + 8000,
  }),
);
export const slices: readonly EndpointSlice[] = [
  slice({
    service: 'web',
    endpoints: [{ ip: '10.1.0.3', nodeName: 'node-a' }, '10.2.0.2'],
    ports: targets,
  }),
  slice({ service: 'web', suffix: '6', endpoints: ['fd00:10:2::2'], ports: targets }),
  slice({ service: 'local', endpoints: ['10.2.0.2'] }),
  ...['lb', 'edge', 'elsewhere'].flatMap((name) => {
    const nodeName = name === 'elsewhere' ? 'node-b' : 'node-a';
    return [
      slice({ service: name, endpoints: [{ ip: '10.1.0.3', nodeName }, '10.2.0.2'] }),
      slice({
        service: name,
        suffix: '6',
        endpoints: [{ ip: 'fd00:10:1::3', nodeName }, 'fd00:10:2::2'],
      }),
    ];
  }),
];

/** Services with affinity, weights and hashing, and an address that is sticky in all its ways. */
export const pickingServices: readonly Service[] = [
  service('sticky', '172.30.0.7', { ...affinity, type: 'NodePort', ports, ...dualStack(7) }),
  balanced('edge', '198.51.100.8', '2001:db8:100::8', {
    ...dualStack(8),
    ...affinity,
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30084 }],
    externalTrafficPolicy: 'Local',
    internalTrafficPolicy: 'Local',
  }),
  annotated({ 'weft.dev/weights': '10.1.0.3=2, fd00:10:1::3=4, node/node-b=2' }, 'weighted', 9),
];

const hash = { 'weft.dev/balance': 'source-hash' };

/** Consistent hashes: too long for a golden file. */
export const hashedServices: readonly Service[] = [
  annotated(hash, 'weighted', 9),
  {
    ...annotated(hash, 'sticky', 10),
    spec: { ...service('', '172.30.0.10', { ...dualStack(10), ...affinity }).spec },
  },
];

function annotated(annotations: Readonly<Record<string, string>>, name: string, last: number) {
  const object = service(name, `172.30.0.${last}`, dualStack(last));
  return { ...object, metadata: { ...object.metadata, annotations } };
}

export const pickingSlices: readonly EndpointSlice[] = ['sticky', 'edge', 'weighted'].flatMap(
  (name) => [
    slice({ service: name, endpoints: twoNodes('10.1.0.3', '10.2.0.2') }),
    slice({
      service: name,
      suffix: '6',
      endpoints: twoNodes('fd00:10:1::3', 'fd00:10:2::2'),
    }),
  ],
);

function twoNodes(here: string, there: string) {
  return [
    { ip: here, nodeName: 'node-a' },
    { ip: there, nodeName: 'node-b' },
  ];
}
