import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Box } from '../../../src/ui/box.ts';
import { edgesOf } from '../../../src/ui/edges.ts';
import { layoutMap, type MapLayout, rankServices, WIDE } from '../../../src/ui/layout.ts';
import type { Selection } from '../../../src/ui/search.ts';
import { nextBox } from '../../../src/ui/walk.ts';
import { denial, largeNode, peer, pod, service, smallNode } from '../../support/page/snapshots.ts';

const small = smallNode();
const at = (width: number, snapshot = small, selected?: Selection) =>
  layoutMap({ width, ...snapshot, selected });

function boxesOf({ peers, pods, services, uplink }: MapLayout): readonly Box[] {
  return [...peers, ...pods, ...services, uplink];
}

function overlaps(a: Box, b: Box): boolean {
  const isBeside = a.x + a.width <= b.x || b.x + b.width <= a.x;
  return !isBeside && a.y + a.height > b.y && b.y + b.height > a.y;
}

describe('whatever there is and however wide it is', () => {
  const things = fc.record({
    ...{ width: fc.integer({ min: 320, max: 1_600 }), peers: fc.nat(40), pods: fc.nat(700) },
    services: fc.nat(60),
  });
  test('nothing lies over something else, and all of it lies on the map', () => {
    fc.assert(
      fc.property(things, ({ width, peers, pods, services }) => {
        const layout = at(width, {
          ...small,
          peers: Array.from({ length: peers }, (_, i) => peer(`node-${i}`, i)),
          pods: Array.from({ length: pods }, (_, i) => pod(`a/pod-${i}`, `10.0.0.${i % 250}`)),
          services: Array.from({ length: services }, (_, i) =>
            service(`a/s-${i}`, '10.96.0.1', []),
          ),
        });
        const boxes = boxesOf(layout).toSorted((a, b) => a.y - b.y);
        for (const [i, box] of boxes.entries()) {
          expect(box.x).toBeGreaterThanOrEqual(0);
          expect(box.x + box.width).toBeLessThanOrEqual(width + 0.01);
          expect(box.y + box.height).toBeLessThanOrEqual(layout.height + 0.01);
          for (let j = i + 1; j < boxes.length; j++) {
            const other = boxes[j];
            if (other === undefined || other.y >= box.y + box.height) break;
            expect(overlaps(box, other)).toBe(false);
          }
        }
        expect(layout.peers.length + layout.morePeers).toBe(peers);
        expect(layout.services.length + layout.moreServices).toBe(services);
        expect(layout.pods.length + layout.podArea.more).toBe(pods);
      }),
      { numRuns: 60 },
    );
  });
});

test.each([
  [3, 'row'],
  [9, 'row'],
  [30, 'chip'],
  [500, 'cell'],
])('%d pods are drawn as %ss', (count, density) => {
  expect(at(900, largeNode(count, 0)).podArea.density).toBe(density);
});

test('what is selected has a place, though there is none for all', () => {
  const large = largeNode();
  const selected = { kind: 'service', key: 'team-16/service-0999' } as const;
  const layout = at(900, { ...large, services: large.services }, selected);
  const keys = layout.services.map(({ item }) => item.key);
  expect(keys.length + layout.moreServices).toBe(1_000);
  expect(
    at(900, large, { kind: 'service', key: large.services[0]?.key ?? '' }).services[0]?.item.key,
  ).toBe(large.services[0]?.key);
});

test('Services that nobody serves come first, then the busiest, in the order of names', () => {
  const services = [
    service('a/quiet', '10.96.0.1', [{ address: '10.0.0.1', state: 'serving', isLocal: true }]),
    service('b/busy', '10.96.0.2', [{ address: '10.0.0.1', state: 'serving', isLocal: true }], {
      perSecond: 9,
    }),
    service('c/broken', '10.96.0.3', []),
  ];
  const ranked = rankServices({ services, selected: undefined }, 2);
  expect(ranked.map(({ key }) => key)).toEqual(['b/busy', 'c/broken']);
});

describe('lines', () => {
  test('to other nodes by way and state', () => {
    const edges = edgesOf(at(WIDE + 200), undefined, []);
    const kinds = edges.flatMap(({ key, kind, tone }) =>
      key.startsWith('peer') ? `${kind} ${tone}` : [],
    );
    expect(kinds).toEqual([
      'direct well',
      'direct well',
      'tunnel well',
      'tunnel doubtful',
      'direct bad',
    ]);
  });

  test('of what is selected are strong, those to other nodes there only then', () => {
    const selected = { kind: 'service', key: 'shop/web' } as const;
    const of = (edges: ReturnType<typeof edgesOf>) =>
      edges.filter(({ kind, isStrong }) => kind === 'service' && isStrong).map(({ key }) => key);
    expect(of(edgesOf(at(900), undefined, []))).toEqual([]);
    expect(of(edgesOf(at(900, small, selected), selected, []))).toEqual([
      'shop/web 10.244.1.3',
      'shop/web 10.244.1.4',
      'shop/web 10.244.2.9',
    ]);
  });

  test('of a denied connection, where both sides are drawn', () => {
    const denials = [
      denial('1', 'shop/cart-7c9f4', 'shop/db-0', ''),
      denial('2', '203.0.113.9', 'shop/db-0', ''),
    ];
    const denied = edgesOf(at(900), undefined, denials).filter(({ kind }) => kind === 'denied');
    expect(denied.map(({ key }) => key)).toEqual(['denied shop/cart-7c9f4 shop/db-0']);
  });
});

test.each([
  ['right', 'b'],
  ['down', 'c'],
  ['left', undefined],
] as const)('%s of the first is %s', (direction, want) => {
  const box = (name: string, x: number, y: number) => ({ name, x, y, width: 10, height: 10 });
  const boxes = [box('a', 0, 0), box('b', 50, 5), box('c', 4, 40), box('d', 90, 40)];
  expect(nextBox(boxes, box('a', 0, 0), direction)?.name).toBe(want);
});
