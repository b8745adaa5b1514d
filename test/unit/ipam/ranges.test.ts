import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildRangeSets, type RangeConfig } from '../../../src/ipam/range-config.ts';
import { candidates, type RangeSet, rangeFor, rangeSetsOverlap } from '../../../src/ipam/ranges.ts';
import { ipFromBigInt, parseIP } from '../../../src/net/ip.ts';

function setOf(...ranges: RangeConfig[]): RangeSet {
  const [set] = buildRangeSets('1.0.0', { ranges: [ranges] });
  if (set === undefined) throw new Error('one set was given');
  return set;
}

function walk(set: RangeSet, last?: string, limit = Number.POSITIVE_INFINITY): string[] {
  const seen: string[] = [];
  for (const { address } of candidates(set, last === undefined ? undefined : parseIP(last))) {
    if (seen.length === limit) break;
    seen.push(address);
  }
  return seen;
}

const small = setOf({ subnet: '10.0.0.0/29' });
const [a, b] = [{ subnet: '10.0.0.0/30' }, { subnet: '10.0.1.0/30', gateway: '10.0.1.2' }];

describe('[101, 102] order of candidates', () => {
  test.each([
    ['fresh', small, undefined, ['.2', '.3', '.4', '.5', '.6']],
    ['after the first', small, '10.0.0.2', ['.3', '.4', '.5', '.6', '.2']],
    ['after the last', small, '10.0.0.6', ['.2', '.3', '.4', '.5', '.6']],
    ['last is not in the set any more', small, '10.0.0.7', ['.2', '.3', '.4', '.5', '.6']],
    ['last is of another network', small, '10.9.0.1', ['.2', '.3', '.4', '.5', '.6']],
    ['last is the gateway', small, '10.0.0.1', ['.2', '.3', '.4', '.5', '.6']],
  ])('%s', (_name, set, last, want) =>
    expect(walk(set, last)).toEqual(want.map((end) => `10.0.0${end}`)),
  );

  test.each([
    ['fresh', undefined, ['10.0.0.2', '10.0.1.1']],
    ['from the first range to the second', '10.0.0.2', ['10.0.1.1', '10.0.0.2']],
    ['from the second round to the first', '10.0.1.1', ['10.0.0.2', '10.0.1.1']],
  ])('across ranges, %s', (_name, last, want) => expect(walk(setOf(a, b), last)).toEqual(want));

  test('a /64 starts at once', () =>
    expect(walk(setOf({ subnet: 'fd00::/64' }), undefined, 2)).toEqual(['fd00::2', 'fd00::3']));

  test('the end of the address space does not overflow', () =>
    expect(walk(setOf({ subnet: '255.255.255.252/30', rangeEnd: '255.255.255.255' }))).toEqual([
      '255.255.255.254',
      '255.255.255.255',
    ]));

  test('each candidate says its range', () =>
    expect(Array.from(candidates(setOf(a, b), undefined), ({ range }) => range.gateway)).toEqual([
      '10.0.0.1',
      '10.0.1.2',
    ]));
});

describe('[103] defaults never give network, gateway or broadcast address', () => {
  test.each([
    ['10.0.0.0/24', 253],
    ['10.0.0.0/30', 1],
    ['10.0.0.128/26', 61],
    ['fd00::/120', 254],
  ])('%s has %d addresses', (subnet, count) => {
    const addresses = walk(setOf({ subnet }));
    const [network] = subnet.split('/');
    expect(addresses).toHaveLength(count);
    expect(addresses).not.toContain(network);
    expect(addresses).not.toContain('10.0.0.255');
    expect(addresses).not.toContain(setOf({ subnet })[0]?.gateway);
  });
});

test('from every start the walk gives every address once and the last one last', () =>
  fc.assert(
    fc.property(fc.nat({ max: 70 }), (offset) => {
      const set = setOf({ subnet: '10.0.0.0/28' }, { subnet: '10.0.0.32/27' });
      const last = ipFromBigInt(4, 0x0a000000n + BigInt(offset));
      const addresses = walk(set, last);
      expect(new Set(addresses).size).toBe(addresses.length);
      expect([...addresses].sort()).toEqual(walk(set).sort());
      const isCandidate = rangeFor(set, last) !== undefined && addresses.includes(last);
      if (isCandidate) expect(addresses.at(-1)).toBe(last);
    }),
  ));

describe('[100] membership and overlap', () => {
  const part = setOf({ subnet: '10.0.0.0/24', rangeStart: '10.0.0.10', rangeEnd: '10.0.0.20' });

  test.each([
    ['10.0.0.9', false],
    ['10.0.0.10', true],
    ['10.0.0.20', true],
    ['10.0.0.21', false],
    ['10.0.1.15', false],
    ['fd00::1', false],
  ])('%s is in: %s', (address, want) =>
    expect(rangeFor(part, parseIP(address)) !== undefined).toBe(want),
  );

  test.each([
    [{ subnet: '10.0.0.0/24', rangeStart: '10.0.0.20' }, true],
    [{ subnet: '10.0.0.0/24', rangeStart: '10.0.0.21' }, false],
    [{ subnet: '10.0.0.0/24', rangeEnd: '10.0.0.9' }, false],
    [{ subnet: '10.0.0.0/24', rangeEnd: '10.0.0.10' }, true],
    [{ subnet: '10.0.0.0/8' }, true],
    [{ subnet: '::/3' }, false],
  ])('overlaps %j: %s', (range, want) => {
    expect(rangeSetsOverlap(part, setOf(range))).toBe(want);
    expect(rangeSetsOverlap(setOf(range), part)).toBe(want);
  });
});
