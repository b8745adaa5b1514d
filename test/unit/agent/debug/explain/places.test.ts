import { describe, expect, test } from 'vitest';
import { placesOf } from '../../../../../src/agent/debug/explain/places.ts';
import type { HostPortRecord } from '../../../../../src/cni/host-ports.ts';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import type { PacketVerdict } from '../../../../../src/proxy/verdict/explanation.ts';

const NODE = parseIP('192.168.0.1');
const PUBLISHED: HostPortRecord = {
  attachment: { network: 'pods', containerId: 'c1', ifName: 'eth0' },
  pod: 'default/web',
  ports: [
    { family: 4, protocol: 'tcp', port: 8080, target: parseIP('10.1.0.3'), targetPort: 80 },
    {
      ...{ family: 4, protocol: 'udp', port: 53, address: parseIP('192.168.0.9') },
      ...{ target: parseIP('10.1.0.3'), targetPort: 53 },
    },
  ],
  pods: [{ address: parseIP('10.1.0.3'), subnet: parseCidr('10.1.0.0/24') }],
  masquerade: 'subnet',
} as const;

function met(source: string, destination: string, port: number, verdict: PacketVerdict) {
  const packet = { source: parseIP(source), destination: parseIP(destination), port } as const;
  return placesOf(
    { packet: { ...packet, protocol: 'tcp' }, decisions: [], verdict },
    {
      localAddresses: [NODE],
      hostPorts: () => [PUBLISHED],
      podMasquerades: new Map([[parseIP('10.1.0.2'), [parseCidr('10.0.0.0/8')]]]),
    },
  );
}

const PASS = { kind: 'pass' } as const;

describe('without a Service', () => {
  test.each([
    {
      name: 'a host port, from outside',
      at: ['203.0.113.9', NODE, 8080],
      want: {
        places: [{ ip: '10.1.0.3', port: 80, isMasqueraded: false }],
        hostPort: { pod: 'default/web' },
      },
    },
    {
      name: 'a host port, from a neighbour of the pod',
      at: ['10.1.0.7', NODE, 8080],
      want: { places: [{ ip: '10.1.0.3', isMasqueraded: true }] },
    },
    {
      name: 'the port of an address that is not published',
      at: ['203.0.113.9', NODE, 53],
      want: { places: [{ ip: NODE, port: 53, isMasqueraded: false }] },
    },
    {
      name: 'a pod that leaves the cluster',
      at: ['10.1.0.2', '203.0.113.9', 443],
      want: { places: [{ ip: '203.0.113.9', isMasqueraded: true }], isPodMasquerade: true },
    },
    {
      name: 'a pod that stays',
      at: ['10.1.0.2', '10.2.0.2', 443],
      want: { places: [{ ip: '10.2.0.2', isMasqueraded: false }] },
    },
  ] as const)('$name', ({ at: [source, destination, port], want }) => {
    expect(met(source, destination, port, PASS)).toMatchObject(want);
  });
});

test('of many endpoints the likely ones are looked at', () => {
  const candidates = Array.from({ length: 14 }, (_, at) => ({
    ...{ ip: parseIP(`10.1.0.${at}`), port: 80, isLocal: true, isMasqueraded: false },
    ...({ because: 'fromPod', probability: at / 91 } as const),
  }));
  const { places, more } = met('10.1.0.2', '172.30.0.1', 80, { kind: 'dnat', candidates });
  expect([places[0]?.ip, places.length, more]).toEqual(['10.1.0.13', 10, 3]);
  expect(met('10.1.0.2', '172.30.0.1', 80, { kind: 'drop' }).places).toEqual([]);
});
