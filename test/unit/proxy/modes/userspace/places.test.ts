import { expect, test } from 'vitest';
import { parseIP } from '../../../../../src/net/ip.ts';
import { placesOf } from '../../../../../src/proxy/modes/userspace/places.ts';
import { resolveGroups } from '../../../../support/flows/model.ts';
import { IPV4 } from '../../../../support/flows/net.ts';
import { endpointsOf, loadBalancer, sliceOf } from '../../../../support/flows/objects.ts';
import { service } from '../../../../support/proxy-objects.ts';

const { vip, lb, external, node, outer } = IPV4;
const NODE_PORT_IPS = [node, outer].map(parseIP);
const UDP = [{ name: 'http', protocol: 'UDP', port: 53 }] as const;

const resolve = (object: ReturnType<typeof service>, ...servers: readonly ('a' | 'remote')[]) =>
  resolveGroups(
    [
      {
        name: 'one',
        settings: 'base',
        services: [object],
        slices: [
          {
            ...sliceOf(object.metadata.name, endpointsOf(IPV4, ...servers)),
            ports: [
              { name: 'http', protocol: object.spec.ports?.[0]?.protocol ?? 'TCP', port: 80 },
            ],
          },
        ],
        flows: [],
      },
    ],
    IPV4,
  );

const full = loadBalancer('full', IPV4, 1, {
  nodePort: 30001,
  ips: [lb(1)],
  spec: { externalIPs: [external(1)] },
});
const local = { externalTrafficPolicy: 'Local' } as const;
const internal = { internalTrafficPolicy: 'Local' } as const;

test.each([
  {
    name: 'every frontend',
    ports: resolve(full, 'a'),
    want: [
      `tcp ${vip(1)} 80`,
      `tcp ${lb(1)} 80`,
      `tcp ${external(1)} 80`,
      `tcp ${node} 30001`,
      `tcp ${outer} 30001`,
    ],
  },
  { name: 'no endpoints', ports: resolve(full), want: [] },
  {
    name: 'endpoints for clients of this node only',
    ports: resolve({ ...full, spec: { ...full.spec, ...local, externalIPs: [] } }, 'remote'),
    want: [`tcp ${vip(1)} 80`, `tcp ${lb(1)} 80`, `tcp ${node} 30001`, `tcp ${outer} 30001`],
  },
  {
    name: 'TCP that nobody may use: the kernel refuses it',
    ports: resolve(service('tcp', vip(2), internal), 'remote'),
    want: [],
  },
  {
    name: 'UDP that nobody may use: a socket is silent',
    ports: resolve(service('udp', vip(2), { ...internal, ports: [...UDP] }), 'remote'),
    want: [`udp ${vip(2)} 53`],
  },
  {
    name: 'UDP without endpoints',
    ports: resolve(service('udp', vip(2), { ports: [...UDP] })),
    want: [],
  },
])('$name', ({ ports, want }) => {
  expect([...placesOf(ports, NODE_PORT_IPS, () => true).keys()]).toEqual(want);
});

test('only the frontends that are asked for', () => {
  const places = placesOf(resolve(full, 'a'), NODE_PORT_IPS, ({ kind }) => kind === 'nodePort');
  expect([...places.keys()]).toEqual([`tcp ${node} 30001`, `tcp ${outer} 30001`]);
});
