import { describe, expect, test } from 'vitest';
import { chooseVariant } from '../../../../../src/proxy/modes/iptables/variant.ts';

describe('variant', () => {
  const rules = (count: number) => '-A INPUT -j ACCEPT\n'.repeat(count);
  test.each([
    ['nothing anywhere', { nft: '', legacy: '' }, 'nft'],
    ['the kubelet in nft', { nft: ':KUBE-IPTABLES-HINT - [0:0]\n', legacy: rules(9) }, 'nft'],
    [
      'the kubelet in legacy',
      { nft: rules(9), legacy: ':KUBE-KUBELET-CANARY - [0:0]\n' },
      'legacy',
    ],
    ['a proxy in legacy', { nft: rules(9), legacy: ':KUBE-SERVICES - [0:0]\n' }, 'legacy'],
    [
      'the kubelet before a proxy',
      { nft: ':KUBE-SERVICES - [0:0]\n', legacy: ':KUBE-KUBELET-CANARY - [0:0]\n' },
      'legacy',
    ],
    ['more rules in legacy', { nft: rules(1), legacy: rules(2) }, 'legacy'],
    ['as many in both', { nft: rules(2), legacy: rules(2) }, 'nft'],
    ['legacy alone', { legacy: '' }, 'legacy'],
    ['nft alone', { nft: '' }, 'nft'],
    ['none', {}, undefined],
  ] as const)('%s', (_, listings, want) => {
    const entries = Object.entries(listings) as ['nft' | 'legacy', string][]; // as spelled above
    expect(chooseVariant(new Map(entries))).toBe(want);
  });
});
