import { describe, expect, test } from 'vitest';
import { ClaimKeeper } from '../../../src/fabric/claim-keeper.ts';
import { claimPodCIDRs, type Reserved } from '../../../src/fabric/claims.ts';
import type { FabricNode } from '../../../src/fabric/nodes.ts';
import { parseCidr } from '../../../src/net/cidr.ts';
import { randomStream } from '../../faults/random.ts';
import { fabricNode } from '../../support/fabric-objects.ts';

const RESERVED: Reserved = {
  clusterCIDRs: [parseCidr('10.0.0.0/8')],
  taken: [{ cidr: parseCidr('10.0.9.0/24'), what: 'the network of link eth0' }],
};

function clusterOf(...nodes: readonly FabricNode[]): Map<string, FabricNode> {
  return new Map(nodes.map((node) => [node.name, node]));
}

/** Twenty Nodes that want nothing of each other. */
function calm(): Map<string, FabricNode> {
  return clusterOf(
    ...Array.from({ length: 20 }, (_, i) =>
      fabricNode(`n${i}`, [`10.1.${i}.0/24`], [`192.0.2.${i + 1}`]),
    ),
  );
}

/** Asks before and after the change, as the fabric does; compares with looking at everything. */
function answersAfter(change: (nodes: Map<string, FabricNode>) => void) {
  const nodes = calm();
  const keeper = new ClaimKeeper();
  keeper.claim(nodes, RESERVED);
  change(nodes);
  const kept = keeper.claim(nodes, RESERVED);
  expect(sorted(kept)).toEqual(sorted(claimPodCIDRs(nodes.values(), RESERVED)));
  return kept;
}

const sorted = ({ owned, misplaced, refused }: ReturnType<typeof claimPodCIDRs>) =>
  [owned, new Map<string, unknown>(misplaced), refused].map((map) =>
    Object.fromEntries([...map].toSorted()),
  );

describe('one Node changes among many', () => {
  test.each<[string, FabricNode, string | undefined]>([
    ['comes', fabricNode('new', ['10.2.0.0/24'], ['192.0.2.99']), undefined],
    ['has another address', fabricNode('n3', ['10.1.3.0/24'], ['192.0.2.98']), undefined],
    ['has another podCIDR', fabricNode('n3', ['10.3.0.0/24'], ['192.0.2.4']), undefined],
    ['wants what another has', fabricNode('new', ['10.1.4.0/25'], []), 'overlaps one of node n4'],
    ['wants what is around others', fabricNode('new', ['10.1.0.0/16'], []), 'overlaps one of node'],
    ['wants a network of a link', fabricNode('new', ['10.0.0.0/12'], []), 'link eth0'],
    ['wants what is outside', fabricNode('new', ['11.0.0.0/24'], []), 'outside of clusterCIDRs'],
    ['wants it twice', fabricNode('new', ['10.4.0.0/24', '10.4.0.0/25'], []), 'another one of'],
    ['is in its own podCIDR', fabricNode('new', ['10.4.0.0/24'], ['10.4.0.1']), 'address of node'],
    [
      'wants an address',
      fabricNode('new', ['10.5.0.0/16'], ['192.0.2.4']),
      'is that of node n3 too',
    ],
  ])('it %s', (_, node, why) => {
    const { refused } = answersAfter((nodes) => nodes.set(node.name, node));
    const reasons = refused.get('new')?.join() ?? '';
    if (why === undefined) expect(reasons).toBe('');
    else expect(reasons).toContain(why);
  });

  test('its address is in the podCIDR of another', () => {
    const moved = fabricNode('n3', ['10.1.3.0/24'], ['10.1.5.7']);
    const { refused } = answersAfter((nodes) => nodes.set('n3', moved));
    expect(refused.get('n5')).toBeUndefined();
    expect(refused.get('n3')?.join()).toContain('it is in the podCIDR of node n5');
  });

  test('it goes, and another has what it had', () => {
    const heir = fabricNode('heir', ['10.1.3.0/24'], ['192.0.2.4']);
    const { owned } = answersAfter((nodes) => {
      nodes.delete('n3');
      nodes.set('heir', heir);
    });
    expect(owned.get('heir')).toEqual(['10.1.3.0/24']);
    expect(owned.has('n3')).toBe(false);
  });
});

test('other reserved networks are looked at with everybody', () => {
  const keeper = new ClaimKeeper();
  const nodes = calm();
  keeper.claim(nodes, RESERVED);
  const taken = [{ cidr: parseCidr('10.1.7.0/24'), what: 'the addresses of Services' }];
  const { refused } = keeper.claim(nodes, { ...RESERVED, taken });
  expect([...refused.keys()]).toEqual(['n7']);
});

test('random changes: the same answers as looking at everything', () => {
  const random = randomStream(11);
  const below = (limit: number) => Math.floor(random() * limit);
  for (let round = 0; round < 30; round += 1) {
    const nodes = calm();
    const keeper = new ClaimKeeper();
    for (let step = 0; step < 30; step += 1) {
      const name = `n${below(24)}`;
      if (random() < 0.2) nodes.delete(name);
      else {
        const cidr = `10.${below(3)}.${below(30)}.0/${random() < 0.9 ? 24 : 20}`;
        const address = random() < 0.9 ? `192.0.2.${below(60)}` : `10.1.${below(30)}.1`;
        nodes.set(name, fabricNode(name, [cidr], [address], { uid: String(below(100)) }));
      }
      const kept = keeper.claim(nodes, RESERVED);
      expect(sorted(kept)).toEqual(sorted(claimPodCIDRs(nodes.values(), RESERVED)));
    }
  }
});
