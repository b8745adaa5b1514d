import { describe, expect, test } from 'vitest';
import type { ObservedDestination, VirtualServer } from '../../../../../src/kernel/ipvs-types.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import { destinationKey } from '../../../../../src/proxy/modes/ipvs/difference.ts';
import { Draining, idleDifference } from '../../../../../src/proxy/modes/ipvs/draining.ts';

const VIP = parseIP('172.30.0.1');

describe('who is looked at', () => {
  test('is there for a second', () => {
    const draining = new Draining();
    draining.add('web', VIP);
    expect([0, 500, 999, 1_000, 1_500, 2_000].map((now) => draining.due(now))).toEqual([
      ...[[], [], [], ['web'], [], ['web']],
    ]);
  });

  test('has his turn, however many there are', () => {
    const draining = new Draining();
    for (let i = 0; i < 450; i += 1) draining.add(`s${i}`, VIP);
    draining.due(0);
    const looks = [1_000, 2_000, 3_000].map((now) => draining.due(now));
    expect(looks.map(({ length }) => length)).toEqual([200, 200, 200]);
    expect(new Set(looks.flat()).size).toBe(450);
  });

  test('holds his address until the last one goes', () => {
    const draining = new Draining();
    draining.add('web', VIP);
    draining.add('web', VIP);
    draining.add('api', VIP);
    draining.delete('web');
    expect([draining.holds(VIP), draining.due(0), draining.due(1_000)]).toEqual([
      ...[true, [], ['api']],
    ]);
    draining.delete('api');
    draining.delete('api');
    expect(draining.holds(VIP)).toBe(false);
  });
});

describe('what goes', () => {
  const server: VirtualServer = {
    key: { kind: 'address', ip: VIP, protocol: 'tcp', port: 80 },
    scheduler: 'rr',
    persistenceSeconds: 0,
  };
  const [a, b] = ['10.1.0.3', '10.1.0.4'].map((ip) => ({ ip: parseIP(ip), port: 8080, weight: 0 }));
  if (a === undefined || b === undefined) throw new Error('no destinations');
  const known = {
    server,
    destinations: new Map([a, b].map((each) => [destinationKey(each), each])),
  };
  const counted = (counts: Partial<ObservedDestination>): ObservedDestination => ({
    ...{ ...b, isMasquerading: true },
    ...{ activeConnections: 0, inactiveConnections: 0, persistentConnections: 0 },
    ...counts,
  });

  test.each([
    { name: 'all idle, wanted by nobody', wanted: undefined, counts: {}, want: ['deleteServer'] },
    {
      name: 'all idle, one is wanted',
      wanted: [a],
      counts: {},
      want: ['deleteDestination 10.1.0.4'],
    },
    {
      name: 'one has connections',
      wanted: undefined,
      counts: { activeConnections: 1 },
      want: ['deleteDestination 10.1.0.3'],
    },
    {
      name: 'one has connections that are closing',
      wanted: [a],
      counts: { inactiveConnections: 1 },
      want: [],
    },
    {
      name: 'one has clients that are bound to it',
      wanted: [a],
      counts: { persistentConnections: 5 },
      want: ['deleteDestination 10.1.0.4'],
    },
  ])('$name', ({ wanted, counts, want }) => {
    const keys = wanted && new Set(wanted.map(destinationKey));
    const { changes } = idleDifference(known, keys, [counted(counts)]);
    const texts = changes.map((change) =>
      'destination' in change ? `${change.op} ${change.destination.ip}` : change.op,
    );
    expect(texts).toEqual(want);
  });
});
