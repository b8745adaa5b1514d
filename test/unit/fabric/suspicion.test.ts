import { describe, expect, test } from 'vitest';
import { entrySteps } from '../../../src/fabric/entries.ts';
import { contradictsLinks, contradictsRoutes } from '../../../src/fabric/suspicion.ts';
import type { LinkEvent } from '../../../src/kernel/link-monitor.ts';
import type { RouteEvent } from '../../../src/kernel/route-monitor.ts';
import type { Link, Route } from '../../../src/kernel/types.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { parseMac } from '../../../src/net/mac.ts';
import { takeAtOnce } from '../../../src/util/turns.ts';
import { link, route, underlayFacts } from '../../support/fabric-objects.ts';

const OURS = route('10.244.2.0/24', 2, '192.0.2.2', { protocol: 201, priority: 201 });
const NEIGHBOUR = {
  ...{
    link: 9,
    address: parseIP('fe80::1'),
    mac: parseMac('02:00:00:00:00:01'),
    isPermanent: true,
  },
};
const known = {
  entries: takeAtOnce(
    entrySteps([
      { kind: 'route', entry: OURS },
      { kind: 'neighbour', entry: NEIGHBOUR },
    ]),
  ),
  underlay: underlayFacts({ links: [link(2, 'eth0'), link(9, 'weft-vxlan', { kind: 'vxlan' })] }),
};

function isNewsRoute(isGone: boolean, told: Route): boolean {
  return contradictsRoutes([{ kind: 'route', isGone, route: told }], known);
}

describe('routes', () => {
  test.each([
    ['the echo of an own route', false, OURS, false],
    ['an own route that went', true, OURS, true],
    ['an own route by another gateway', false, { ...OURS, gateway: parseIP('192.0.2.9') }, true],
    [
      'the end of a route that was replaced',
      true,
      { ...OURS, gateway: parseIP('192.0.2.9') },
      false,
    ],
    [
      'one of our protocol that nobody knows',
      false,
      route('10.9.0.0/16', 2, undefined, { protocol: 201 }),
      true,
    ],
    ['one of others in the place of ours', false, { ...OURS, protocol: 4 }, true],
    [
      'one of another type in the place of ours',
      true,
      { destination: OURS.destination, table: 254, priority: 201 },
      true,
    ],
    ['one of others beside ours', false, { ...OURS, protocol: 4, priority: 5 }, true],
    ['one of others that is known', false, route('192.0.2.0/24', 2), false],
    ['one of others that went', true, route('192.0.2.0/24', 2), true],
    ['a new one of others', false, route('198.51.100.0/24', 2), true],
    ['one of another table', false, route('198.51.100.0/24', 2, undefined, { table: 100 }), false],
  ] as const)('%s: %s', (_, isGone, told, isNews) => {
    expect(isNewsRoute(isGone, told)).toBe(isNews);
  });
});

describe('neighbours and forwarding entries', () => {
  const { address } = NEIGHBOUR;
  const mac = parseMac('02:00:00:00:00:02');
  const cases: readonly (readonly [string, RouteEvent, boolean])[] = [
    ['the echo', { kind: 'neighbour', isGone: false, entry: NEIGHBOUR }, false],
    ['one that went', { kind: 'neighbour', isGone: true, entry: { link: 9, address } }, true],
    [
      'one of another link',
      { kind: 'neighbour', isGone: true, entry: { link: 2, address } },
      false,
    ],
    ['another MAC', { kind: 'neighbour', isGone: false, entry: { ...NEIGHBOUR, mac } }, true],
    [
      'an unknown forwarding entry of the tunnel',
      { kind: 'forwarding', isGone: false, entry: { link: 9, mac, remote: parseIP('192.0.2.9') } },
      true,
    ],
  ];

  test.each(cases)('%s', (_, event, isNews) => {
    expect(contradictsRoutes([event], known)).toBe(isNews);
  });
});

describe('links and addresses', () => {
  const of = (told: Link, isGone = false): LinkEvent => ({ kind: 'link', isGone, link: told });
  const address = (text: string, isGone: boolean): LinkEvent => {
    return {
      kind: 'address',
      isGone,
      address: { link: 2, address: parseIP(text), prefixLength: 24 },
    };
  };
  const cases: readonly (readonly [string, LinkEvent, boolean])[] = [
    ['counters of the uplink', of(link(2, 'eth0')), false],
    ['the uplink went down', of(link(2, 'eth0', { isUp: false })), true],
    ['another MTU of the uplink', of(link(2, 'eth0', { mtu: 1400 })), true],
    ['the uplink went away', of(link(2, 'eth0'), true), true],
    ['a pod came', of(link(40, 'veth1234')), false],
    ['the tunnel', of(link(9, 'weft-vxlan')), true],
    ['an address that is known', address('192.0.2.1', false), false],
    ['an address that went', address('192.0.2.1', true), true],
    ['forwarding was switched', { kind: 'forwarding', isGone: false }, true],
  ];

  test.each(cases)('%s', (_, event, isNews) => {
    expect(contradictsLinks([event], known)).toBe(isNews);
  });

  test('after an overflow everything is news', () => {
    expect(contradictsLinks('overflow', known)).toBe(true);
    expect(contradictsRoutes('overflow', known)).toBe(true);
  });
});
