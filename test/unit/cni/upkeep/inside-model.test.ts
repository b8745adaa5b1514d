import { expect, test } from 'vitest';
import type { RecordedInside } from '../../../../src/cni/attachment-records.ts';
import { type Inside, insideDifferences } from '../../../../src/cni/upkeep/inside-model.ts';
import { parseCidr, parseIPWithPrefix } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { parseMac } from '../../../../src/net/mac.ts';

const address = (text: string) => ({ address: parseIP(text), scope: 'global' as const });
const route = (destination: string, gateway?: string, link = 2) => ({
  destination: parseCidr(destination),
  link,
  ...(gateway === undefined ? {} : { gateway: parseIP(gateway) }),
});
const MAC = parseMac('02:00:00:00:00:0a');
const OTHER = parseMac('02:00:00:00:00:0b');
const WANTED: RecordedInside = {
  addresses: [parseIPWithPrefix('10.1.0.2/24'), parseIPWithPrefix('fd00::2/64')],
  routes: [
    { destination: parseCidr('0.0.0.0/0'), gateway: parseIP('10.1.0.1') },
    { destination: parseCidr('::/0'), gateway: parseIP('fd00::1') },
  ],
  mtu: 1450,
};
const RIGHT: Inside = {
  link: { index: 2, mac: MAC, mtu: 1450, isUp: true },
  addresses: [address('10.1.0.2'), address('fd00::2')],
  routes: [
    route('10.1.0.0/24'),
    route('0.0.0.0/0', '10.1.0.1'),
    route('fd00::/64'),
    route('::/0', 'fd00::1'),
  ],
};

const ROUTE = 'the route to 0.0.0.0/0 via 10.1.0.1 is missing';

test.each<[string, Partial<Inside>, readonly string[]]>([
  ['as it was made', {}, []],
  ['with more than that', { addresses: [...RIGHT.addresses, address('10.9.0.9')] }, []],
  ['with a smaller MTU', { link: { index: 2, mac: MAC, mtu: 1300, isUp: true } }, []],
  [
    'with a larger MTU',
    { link: { index: 2, mac: MAC, mtu: 9000, isUp: true } },
    ['the MTU is 9000, more than 1450'],
  ],
  [
    'down, of which the rest follows',
    { link: { index: 2, mac: MAC, mtu: 1450, isUp: false }, addresses: [], routes: [] },
    ['the link is down'],
  ],
  ['without its interface', { link: undefined }, ['the interface is gone, or has another name']],
  [
    'without an address, and with it',
    { addresses: [address('fd00::2')] },
    ['+ 10.1.0.2/24 is missing'],
  ],
  [
    'with another address in its place',
    { addresses: [address('10.9.0.9'), address('fd00::2')] },
    ['10.1.0.2/24 is missing, there is 10.9.0.9'],
  ],
  ['without a route', { routes: RIGHT.routes.slice(2) }, [`+ ${ROUTE}`]],
  [
    'with another gateway',
    { routes: [route('0.0.0.0/0', '10.1.0.7'), route('::/0', 'fd00::1')] },
    [`${ROUTE}, another one leads there`],
  ],
  [
    'with the route on another link',
    { routes: [route('0.0.0.0/0', '10.1.0.1', 3), route('::/0', 'fd00::1')] },
    [`${ROUTE}, another one leads there`],
  ],
])('a pod %s', (_name, change, want) => {
  const found = insideDifferences({ ...RIGHT, ...change }, WANTED);
  expect(found.map(({ what, restore }) => (restore ? `+ ${what}` : what))).toEqual(want);
});

test('a hardware address that the port of the pod does not let in is told', () => {
  const found = (macs: readonly (typeof MAC)[]) =>
    insideDifferences(RIGHT, WANTED, { macs, addresses: [] }).map(({ what }) => what);
  expect(found([OTHER, MAC])).toEqual([]);
  expect(found([OTHER])).toEqual([`it sends as ${MAC}, and only ${OTHER} may enter`]);
});
