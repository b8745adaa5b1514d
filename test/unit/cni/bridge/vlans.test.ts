import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  parseVlan,
  parseVlanTrunk,
  portVlansOf,
  type TrunkEntry,
} from '../../../../src/cni/bridge/vlans.ts';

describe('[95] vlan', () => {
  test.each([
    [undefined, undefined],
    [0, undefined],
    [1, 1],
    [4094, 4094],
  ])('%s', (vlan, want) => {
    expect(parseVlan(vlan)).toBe(want);
  });

  test.each([-100, -1, 4095, 5000])('%i is refused', (vlan) => {
    expect(() => parseVlan(vlan)).toThrow(`invalid VLAN ID ${vlan} (must be between 0 and 4094)`);
  });
});

describe('[96] vlanTrunk', () => {
  test.each<[string, readonly TrunkEntry[], readonly object[]]>([
    ['nothing', [], []],
    ['an empty entry', [{}], []],
    ['a number', [{ id: 101 }], [{ vid: 101, lastVid: 101 }]],
    ['a range', [{ minID: 200, maxID: 210 }], [{ vid: 200, lastVid: 210 }]],
    [
      'both in one entry',
      [{ minID: 20, maxID: 22, id: 5 }],
      [
        { vid: 5, lastVid: 5 },
        { vid: 20, lastVid: 22 },
      ],
    ],
    [
      'overlap and neighbours',
      [{ id: 4 }, { minID: 1, maxID: 3 }, { minID: 2, maxID: 4 }],
      [{ vid: 1, lastVid: 4 }],
    ],
    ['all', [{ minID: 1, maxID: 4094 }], [{ vid: 1, lastVid: 4094 }]],
  ])('%s', (_name, trunk, want) => {
    expect(parseVlanTrunk(trunk)).toEqual(want);
  });

  test.each<[string, TrunkEntry, string]>([
    ['no minID', { maxID: 5 }, 'configured simultaneously, minID is missing'],
    ['no maxID', { minID: 5 }, 'configured simultaneously, maxID is missing'],
    ['minID 0', { minID: 0, maxID: 5 }, 'incorrect trunk minID parameter'],
    ['minID 4095', { minID: 4095, maxID: 5 }, 'incorrect trunk minID parameter'],
    ['maxID 0', { minID: 1, maxID: 0 }, 'incorrect trunk maxID parameter'],
    ['maxID 4095', { minID: 1, maxID: 4095 }, 'incorrect trunk maxID parameter'],
    ['order', { minID: 7, maxID: 5 }, 'minID is greater than maxID in trunk parameter'],
    ['id 0', { id: 0 }, 'incorrect trunk id parameter'],
    ['id 4095', { id: 4095 }, 'incorrect trunk id parameter'],
  ])('%s is refused', (_name, entry, message) => {
    expect(() => parseVlanTrunk([entry])).toThrow(`failed to parse vlan trunks: `);
    expect(() => parseVlanTrunk([entry])).toThrow(message);
  });

  test('ranges hold exactly the numbers that were named', () => {
    const vlan = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(fc.array(fc.tuple(vlan, vlan)), (pairs) => {
        const trunk = pairs.map(([a, b]) => ({ minID: Math.min(a, b), maxID: Math.max(a, b) }));
        const named = new Set(trunk.flatMap(({ minID, maxID }) => numbers(minID, maxID)));
        const listed = parseVlanTrunk(trunk).flatMap(({ vid, lastVid = vid }) =>
          numbers(vid, lastVid),
        );
        expect(listed).toEqual([...named].sort((a, b) => a - b));
      }),
    );
  });
});

describe('membership of the port', () => {
  const trunk = [{ vid: 100, lastVid: 102 }];
  const native = (vid: number) => ({ vid, isPvid: true, isUntagged: true });
  test.each([
    ['none', undefined, [], []],
    ['access', 7, [], [native(7)]],
    ['a trunk alone has VLAN 1 untagged', undefined, trunk, [native(1), ...trunk]],
    ['both', 7, trunk, [native(7), ...trunk]],
    [
      'the untagged one is not tagged too',
      101,
      trunk,
      [native(101), { vid: 100, lastVid: 100 }, { vid: 102, lastVid: 102 }],
    ],
    ['at the edge', 100, trunk, [native(100), { vid: 101, lastVid: 102 }]],
  ] as const)('%s', (_name, vlan, ranges, want) => {
    expect(portVlansOf(vlan, ranges)).toEqual(want);
  });
});

function numbers(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
}
