import { describe, expect, test } from 'vitest';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import {
  decodeRoute,
  decodeRouteKey,
  encodeRoute,
  type Route,
} from '../../../../src/netlink/rtnetlink/route.ts';

const ROUTES: readonly (readonly [string, Route])[] = [
  ['link', { destination: parseCidr('10.1.0.0/16'), link: 3 }],
  ['gateway', { destination: parseCidr('0.0.0.0/0'), gateway: parseIP('10.0.0.1'), link: 3 }],
  [
    'everything',
    {
      destination: parseCidr('fd00:1::/64'),
      gateway: parseIP('fe80::1'),
      link: 7,
      table: 1000,
      priority: 201,
      scope: 0,
      mtu: 1400,
      advmss: 1300,
      source: parseIP('fd00::1'),
      isOnlink: true,
      protocol: 201,
    },
  ],
  // RFC 5549; `ip route add 10.2.0.0/24 via inet6 fe80::1` makes one, whoever runs it.
  [
    'gateway of the other family',
    { destination: parseCidr('10.2.0.0/24'), gateway: parseIP('fe80::1'), link: 3 },
  ],
];

describe('routes', () => {
  test.each(ROUTES)('%s: read as written', (_, route) => {
    expect(decodeRoute(encodeRoute(route))).toMatchObject(route);
  });

  // The fabric compares what the kernel lists with what it wants.
  test.each(ROUTES)('%s: what was read is written the same', (_, route) => {
    const written = encodeRoute(route);
    const read = decodeRoute(written);
    expect(read && encodeRoute(read)).toEqual(written);
    expect(read && decodeRoute(encodeRoute(read))).toEqual(read);
  });

  test('a route of any type has a key', () => {
    const route = { destination: parseCidr('fd00:1::/64'), table: 1000, priority: 201 };
    const blackhole = encodeRoute({ ...route, protocol: 201 });
    blackhole.writeUInt8(6, 7);
    expect(decodeRouteKey(blackhole)).toEqual(route);
    expect(decodeRouteKey(encodeRoute({ destination: parseCidr('0.0.0.0/0') }))).toEqual({
      destination: '0.0.0.0/0',
      table: 254,
    });
  });

  test('other types of routes are none of unicast', () => {
    const blackhole = encodeRoute({ destination: parseCidr('10.3.0.0/24') });
    blackhole.writeUInt8(6, 7);
    expect(decodeRoute(blackhole)).toBeUndefined();
  });
});
