import { describe, expect, test } from 'vitest';
import {
  isSlotChain,
  type SlotChainSpec,
  slotChain,
  slotChainName,
} from '../../../../../src/proxy/modes/nftables/slot-chains.ts';

const plain: SlotChainSpec = {
  kind: 'address',
  scope: 'everybody',
  count: 5,
  isHashed: false,
  affinitySeconds: undefined,
  isLocal: false,
};

describe('slot chains', () => {
  test.each<{ spec: Partial<SlotChainSpec>; want: string }>([
    { spec: {}, want: 'n5' },
    { spec: { scope: 'outside', isLocal: true }, want: 'l5' },
    { spec: { kind: 'nodePort', count: 12 }, want: 'p12' },
    { spec: { kind: 'nodePort', scope: 'outside', isLocal: true }, want: 'q5' },
    { spec: { isLocal: true }, want: 'n5' },
    { spec: { isHashed: true, count: 251 }, want: 'n251-hash' },
    { spec: { affinitySeconds: 60 }, want: 'n5-affinity-60' },
    { spec: { affinitySeconds: 60, isLocal: true }, want: 'n5-local-affinity-60' },
    { spec: { affinitySeconds: 60, isLocal: true, scope: 'outside' }, want: 'l5-affinity-60' },
    { spec: { affinitySeconds: 60, isHashed: true }, want: 'n5-hash-affinity-60' },
  ])('$want', ({ spec, want }) => {
    const name = slotChainName({ ...plain, ...spec });
    expect([name, isSlotChain(name)]).toEqual([want, true]);
  });

  test.each(['services', 'n0', 'n', 'x5', 'n5-hashed', 'reject-chain', 'masquerade-node'])(
    '%s is none',
    (name) => {
      expect(isSlotChain(name)).toBe(false);
    },
  );

  test('all that a chain does has a name of its own', () => {
    const names = new Map<string, string>();
    for (const kind of ['address', 'nodePort'] as const) {
      for (const scope of ['everybody', 'outside'] as const) {
        for (const isHashed of [true, false]) {
          for (const affinitySeconds of [undefined, 1, 86_400]) {
            for (const isLocal of scope === 'outside' ? [true] : [true, false]) {
              const { name, rules } = slotChain(6, {
                ...{ kind, scope, isHashed, affinitySeconds, isLocal },
                count: 3,
              });
              const text = JSON.stringify(rules);
              expect(names.get(name) ?? text).toBe(text);
              names.set(name, text);
            }
          }
        }
      }
    }
    expect(new Set(names.values()).size).toBe(names.size);
  });
});
