import { describe, expect, test } from 'vitest';
import { masqueradeChain } from '../../../../src/cni/iptables/chains.ts';
import { addIptablesMasquerade } from '../../../../src/cni/iptables/masquerade.ts';
import type { Iptables } from '../../../../src/iptables/programs-sync.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { FakeNat } from '../upkeep/fake-nat.ts';

const owner = { network: 'net', containerId: 'pod-1' };
const chain = masqueradeChain(owner);
const entryOf = (address: string, subnet: string) => {
  return { address: parseIP(address), subnet: parseCidr(subnet) };
};
const wanted = { owner, entries: [entryOf('10.0.0.2', '10.0.0.0/24')] };

function setUp(): { nat: FakeNat; iptables: Iptables } {
  const nat = new FakeNat();
  const iptables: Iptables = {
    hasLegacyTable: () => false,
    save: () => {
      nat.saves += 1;
      const text = nat.text();
      nat.onSave();
      return text;
    },
    restore: (_place, text) => {
      nat.onRestore();
      nat.apply(...text.split('\n').filter((line) => line.startsWith('-')));
      nat.restored.push(text);
    },
  };
  return { nat, iptables };
}

/** How each rule begins and where it leads. */
function outline(nat: FakeNat): readonly string[] {
  return nat.rules().map((rule) => rule.replace(/-m comment --comment ".*" /, ''));
}

const whole = [
  `-A POSTROUTING -s 10.0.0.2/32 -j ${chain}`,
  `-A ${chain} -d 10.0.0.0/24 -j ACCEPT`,
  `-A ${chain} ! -d 224.0.0.0/4 -j MASQUERADE`,
];

describe('rules of one container', () => {
  test('are made once', () => {
    const { nat, iptables } = setUp();
    for (const _ of [1, 2]) addIptablesMasquerade(iptables, wanted);
    expect(outline(nat)).toEqual(whole);
    expect(nat.restored).toHaveLength(1);
  });

  test('of a second interface in another subnet are let through before the rest', () => {
    const { nat, iptables } = setUp();
    addIptablesMasquerade(iptables, wanted);
    addIptablesMasquerade(iptables, { owner, entries: [entryOf('10.9.0.2', '10.9.0.0/24')] });
    expect(outline(nat).slice(2)).toEqual([
      `-A ${chain} -d 10.9.0.0/24 -j ACCEPT`,
      `-A ${chain} -d 10.0.0.0/24 -j ACCEPT`,
      `-A ${chain} ! -d 224.0.0.0/4 -j MASQUERADE`,
    ]);
  });

  test('that somebody else makes after the look are there once', () => {
    const { nat, iptables } = setUp();
    const other = setUp();
    addIptablesMasquerade(other.iptables, wanted);
    nat.onSave = () => {
      if (nat.saves > 1) return;
      const rules = other.nat.rules();
      nat.apply(`-N ${chain}`, ...rules.toReversed());
    };
    addIptablesMasquerade(iptables, wanted);
    expect(outline(nat).toSorted()).toEqual(whole.toSorted());
  });

  test('are refused with the reason of the programs, after a second look', () => {
    const { nat, iptables } = setUp();
    nat.onRestore = () => {
      throw new Error('the lock is not to be had');
    };
    expect(() => addIptablesMasquerade(iptables, wanted)).toThrow('the lock is not to be had');
    expect(nat.saves).toBe(2);
  });
});
