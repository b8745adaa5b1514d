import { describe, expect, test } from 'vitest';
import { readUnderlay, underlayReader } from '../../../src/fabric/underlay.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { link, route, underlayFacts } from '../../support/fabric-objects.ts';

const OWN = { 4: parseIP('192.0.2.1'), 6: parseIP('2001:db8::1') };

describe('how another node is reached', () => {
  test.each([
    ['on the link', '192.0.2.7', { link: 2, isDirect: true }],
    ['behind the router', '198.51.100.7', { link: 2, isDirect: false }],
    ['on the link, by IPv6', '2001:db8::7', { link: 2, isDirect: true }],
  ])('%s', (_, address, hop) => {
    expect(readUnderlay(underlayFacts(), OWN).hopTo(parseIP(address))).toEqual(hop);
  });

  test('not at all without a route', () => {
    const underlay = readUnderlay(underlayFacts({ routes: [] }), OWN);
    expect(underlay.hopTo(parseIP('192.0.2.7'))).toBeUndefined();
  });

  test('a smaller network behind a router counts for the addresses in it', () => {
    const { routes } = underlayFacts();
    const facts = underlayFacts({ routes: [...routes, route('192.0.2.128/25', 2, '192.0.2.254')] });
    const underlay = readUnderlay(facts, OWN);
    expect(underlay.hopTo(parseIP('192.0.2.129'))?.isDirect).toBe(false);
    expect(underlay.hopTo(parseIP('192.0.2.7'))?.isDirect).toBe(true);
  });

  test('of two routes the lower metric counts, and never one of the fabric', () => {
    const facts = underlayFacts({
      routes: [
        route('192.0.2.0/24', 3, '203.0.113.1', { priority: 600 }),
        route('192.0.2.0/24', 2, undefined, { priority: 100 }),
        route('192.0.2.7/32', 9, 'fe80::1', { protocol: 201, priority: 201 }),
      ],
    });
    expect(readUnderlay(facts, OWN).hopTo(parseIP('192.0.2.7'))).toEqual({
      link: 2,
      isDirect: true,
    });
  });
});

test('own addresses are those that links have', () => {
  const { own } = readUnderlay(underlayFacts(), { 4: parseIP('192.0.2.99'), 6: OWN[6] });
  expect(own[4]).toBeUndefined();
  expect(own[6]?.link.name).toBe('eth0');
});

test('networks of the links with own addresses are named, not those of others', () => {
  const { routes } = underlayFacts();
  const facts = underlayFacts({
    links: [link(2, 'eth0'), link(7, 'docker0')],
    routes: [...routes, route('172.17.0.0/16', 7)],
  });
  expect(readUnderlay(facts, OWN).networks).toEqual([
    { cidr: '192.0.2.0/24', what: 'the network of link eth0' },
    { cidr: '2001:db8::/64', what: 'the network of link eth0' },
  ]);
});

test('an underlay read again is the same value unless something it says is another', () => {
  const read = underlayReader();
  const first = read(underlayFacts(), OWN);
  expect(read(underlayFacts(), OWN)).toBe(first);
  const pod = link(9, 'veth9');
  expect(read(underlayFacts({ links: [...underlayFacts().links, pod] }), OWN)).toBe(first);
  const others = [
    read(underlayFacts({ links: [link(1, 'lo'), link(2, 'eth0', { mtu: 9000 })] }), OWN),
    read(underlayFacts({ routes: [] }), OWN),
    read(underlayFacts(), { 4: OWN[4] }),
  ];
  expect(new Set([first, ...others]).size).toBe(4);
  expect(others.map(({ own }) => own[4]?.link.mtu)).toEqual([9000, 1500, 1500]);
});
