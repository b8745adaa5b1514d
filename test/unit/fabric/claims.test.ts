import { describe, expect, test } from 'vitest';
import { claimPodCIDRs } from '../../../src/fabric/claims.ts';
import { parseCidr } from '../../../src/net/cidr.ts';
import { fabricNode } from '../../support/fabric-objects.ts';

const ANYWHERE = { clusterCIDRs: [], taken: [] };
const OLD = { creationTimestamp: '2026-01-01T00:00:00Z' };
const YOUNG = { creationTimestamp: '2026-01-02T00:00:00Z' };

describe('one podCIDR, two Nodes', () => {
  test('the older keeps it, whatever order they come in', () => {
    const nodes = [
      fabricNode('young', ['10.244.1.0/24', 'fd00:1::/64'], [], YOUNG),
      fabricNode('old', ['10.244.1.0/24'], [], OLD),
    ];
    for (const order of [nodes, nodes.toReversed()]) {
      const { owned, refused } = claimPodCIDRs(order, ANYWHERE);
      expect(owned.get('old')).toEqual(['10.244.1.0/24']);
      expect(owned.get('young')).toEqual(['fd00:1::/64']);
      expect(refused.get('young')).toEqual([
        'podCIDR 10.244.1.0/24 overlaps one of node old, which is older and keeps it',
      ]);
      expect(refused.has('old')).toBe(false);
    }
  });

  test.each([
    ['a larger one around it', '10.244.0.0/16'],
    ['a smaller one inside of it', '10.244.1.128/25'],
    ['everything', '0.0.0.0/0'],
  ])('%s is refused too', (_, cidr) => {
    const nodes = [
      fabricNode('old', ['10.244.1.0/24'], [], OLD),
      fabricNode('young', [cidr], [], YOUNG),
    ];
    expect(claimPodCIDRs(nodes, ANYWHERE).owned.get('young')).toEqual([]);
  });

  test('without times of creation uid decides, then the name', () => {
    const nodes = [
      fabricNode('a', ['10.244.1.0/24'], [], { uid: '2' }),
      fabricNode('b', ['10.244.1.0/24'], [], { uid: '1' }),
      fabricNode('c', ['10.244.2.0/24'], [], { uid: '3' }),
      fabricNode('d', ['10.244.2.0/24'], [], { uid: '3' }),
    ];
    const { owned } = claimPodCIDRs(nodes, ANYWHERE);
    expect(owned.get('b')).toEqual(['10.244.1.0/24']);
    expect(owned.get('c')).toEqual(['10.244.2.0/24']);
  });
});

describe('what is nobody’s podCIDR', () => {
  test.each([
    ['the address of a Node', '192.0.2.2/32', 'overlaps the address of node other'],
    ['a network with the addresses of Nodes', '192.0.2.0/25', 'overlaps the address of node other'],
    ['everything', '0.0.0.0/0', 'overlaps the addresses of Services'],
    ['its own address', '198.51.100.0/24', 'overlaps the address of node greedy'],
    ['Services', '10.96.7.0/24', 'overlaps the addresses of Services'],
    ['outside of the cluster', '10.1.0.0/24', 'is outside of clusterCIDRs 10.244.0.0/16'],
  ])('%s', (_, cidr, reason) => {
    const nodes = [
      fabricNode('greedy', [cidr], ['198.51.100.9'], YOUNG),
      fabricNode('other', [], ['192.0.2.2'], OLD),
      fabricNode('third', ['172.16.0.0/24'], ['192.0.2.200'], YOUNG),
    ];
    const isOutside = reason.includes('outside');
    const { owned, refused } = claimPodCIDRs(nodes, {
      clusterCIDRs: isOutside ? [parseCidr('10.244.0.0/16')] : [],
      taken: [{ cidr: parseCidr('10.96.0.0/12'), what: 'the addresses of Services' }],
    });
    expect(owned.get('greedy')).toEqual([]);
    expect(owned.get('third')?.length).toBe(isOutside ? 0 : 1);
    expect(refused.get('greedy')).toEqual([`podCIDR ${cidr} ${reason}`]);
  });
});

describe('what a Node says of its own addresses', () => {
  const victim = fabricNode('victim', ['10.244.1.0/24'], ['192.0.2.1'], OLD);

  const third = fabricNode('third', ['10.244.3.0/24', 'fd00:3::/64'], ['192.0.2.3', '2001:db8::3']);

  test('a single one in the podCIDR of a younger Node takes nothing away', () => {
    const own = ['10.244.2.0/24', 'fd00:2::/64'];
    const liar = fabricNode('liar', own, ['10.244.1.7', 'fd00:1::7'], OLD);
    const young = fabricNode('young', ['10.244.1.0/24', 'fd00:1::/64'], ['192.0.2.1'], YOUNG);
    for (const nodes of [
      [liar, young],
      [liar, young, third],
    ]) {
      const { owned, misplaced } = claimPodCIDRs(nodes, ANYWHERE);
      expect(owned.get('young')).toEqual(['10.244.1.0/24', 'fd00:1::/64']);
      expect(owned.get('liar')).toEqual(own);
      expect([...(misplaced.get('liar') ?? [])]).toEqual(['10.244.1.7', 'fd00:1::7']);
    }
  });

  test.each(['192.0.2.1/32', '192.0.2.0/31', '192.0.2.0/30'])(
    'a podCIDR %s where Nodes are is none, however old who asks for it is',
    (cidr) => {
      for (const age of [OLD, YOUNG]) {
        const thief = fabricNode('thief', [cidr], ['192.0.2.9'], age);
        const young = fabricNode('young', ['10.244.1.0/24'], ['192.0.2.1'], YOUNG);
        const far = fabricNode('far', ['10.244.3.0/24'], ['192.0.2.77']);
        const { owned, misplaced, refused } = claimPodCIDRs([thief, young, far], ANYWHERE);
        expect(owned.get('thief')).toEqual([]);
        expect(refused.get('thief')?.join()).toContain('overlaps the address of node young');
        expect(misplaced.size).toBe(0);
      }
    },
  );

  test('an old Node with everything takes nothing from anybody', () => {
    const thief = fabricNode('thief', ['0.0.0.0/0', '::/0'], ['192.0.2.9'], OLD);
    const { owned } = claimPodCIDRs([thief, victim, third], ANYWHERE);
    expect(owned.get('thief')).toEqual([]);
    expect(owned.get('victim')).toEqual(['10.244.1.0/24']);
    expect(owned.get('third')).toEqual(third.podCIDRs);
  });

  test('one in the podCIDR of an older Node is not used, and takes nothing away', () => {
    const liar = fabricNode('liar', ['10.244.2.0/24'], ['10.244.1.7', '2001:db8::2'], YOUNG);
    for (const order of [
      [victim, liar],
      [liar, victim],
    ]) {
      const { owned, misplaced, refused } = claimPodCIDRs(order, ANYWHERE);
      expect(owned.get('victim')).toEqual(['10.244.1.0/24']);
      expect(owned.get('liar')).toEqual(['10.244.2.0/24']);
      expect([...(misplaced.get('liar') ?? [])]).toEqual(['10.244.1.7']);
      expect(refused.get('liar')).toEqual([
        'InternalIP 10.244.1.7 is not used: it is in the podCIDR of node victim',
      ]);
    }
  });

  test('where several Nodes are in a podCIDR, it is the podCIDR that is wrong', () => {
    const others = [3, 4].map((n) => fabricNode(`n${n}`, [], [`10.244.1.${n}`], YOUNG));
    const apart = fabricNode('apart', ['10.244.9.0/24'], ['192.0.2.9']);
    const { owned, misplaced } = claimPodCIDRs([victim, apart, ...others], ANYWHERE);
    expect(owned.get('victim')).toEqual([]);
    expect(misplaced.size).toBe(0);
  });

  test('that of another one is told of', () => {
    const twin = fabricNode('twin', ['10.244.2.0/24'], ['192.0.2.1'], YOUNG);
    const { owned, refused } = claimPodCIDRs([victim, twin], ANYWHERE);
    expect(owned.get('twin')).toEqual(['10.244.2.0/24']);
    expect(refused.get('twin')).toEqual([
      'InternalIP 192.0.2.1 is that of node victim too: delete the Node that is gone',
    ]);
  });
});

test('5,000 Nodes of two families are sorted out in a moment', () => {
  const nodes = Array.from({ length: 5_000 }, (_, i) =>
    fabricNode(`n${i}`, [`10.${i >> 8}.${i & 255}.0/24`, `fd00:${i.toString(16)}::/64`], []),
  );
  const startedAt = performance.now();
  const { refused } = claimPodCIDRs(nodes, ANYWHERE);
  expect(refused.size).toBe(0);
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});
