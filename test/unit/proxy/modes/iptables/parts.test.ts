import { describe, expect, test } from 'vitest';
import type { RulesChange } from '../../../../../src/iptables/model.ts';
import { partsOf } from '../../../../../src/proxy/modes/iptables/parts.ts';

describe('parts of a large change', () => {
  const chain = (name: string, table: 'nat' | 'filter' = 'nat') => ({ table, name, rules: [] });
  const names = ['FW', 'SVC', 'SEP', 'EXT'].flatMap((kind) =>
    [1, 2, 3].map((i) => `KUBE-${kind}-${i}`),
  );
  const namesOf = (change: RulesChange) => ({
    made: change.chains?.map(({ name }) => name) ?? [],
    removed: change.removedChains?.map(({ name }) => name) ?? [],
    guests: change.guests?.length ?? 0,
  });
  const jump = { table: 'nat', chain: 'OUTPUT', rule: '-j X', position: 'first' } as const;

  test('make a chain before those that lead to it', () => {
    const shared = [
      chain('KUBE-SERVICES'),
      chain('KUBE-SERVICES', 'filter'),
      chain('KUBE-MARK-MASQ'),
    ];
    const chains = [...shared, ...names.map((name) => chain(name))];
    expect(partsOf({ chains, guests: [jump] }, 4).map(namesOf)).toEqual([
      {
        made: ['KUBE-MARK-MASQ', 'KUBE-SEP-1', 'KUBE-SEP-2', 'KUBE-SEP-3'],
        removed: [],
        guests: 0,
      },
      { made: ['KUBE-SVC-1', 'KUBE-SVC-2', 'KUBE-SVC-3', 'KUBE-EXT-1'], removed: [], guests: 0 },
      { made: ['KUBE-EXT-2', 'KUBE-EXT-3', 'KUBE-FW-1', 'KUBE-FW-2'], removed: [], guests: 0 },
      { made: ['KUBE-FW-3', 'KUBE-SERVICES', 'KUBE-SERVICES'], removed: [], guests: 1 },
    ]);
  });

  test('remove a chain after those that lead to it', () => {
    const removedChains = names.map((name) => chain(name));
    expect(partsOf({ removedChains }, 6).map(namesOf)).toEqual([
      { made: [], removed: [], guests: 0 },
      ...[
        ['FW', 'EXT'],
        ['SVC', 'SEP'],
      ].map((kinds) => ({
        made: [],
        removed: kinds.flatMap((kind) => [3, 2, 1].map((i) => `KUBE-${kind}-${i}`)),
        guests: 0,
      })),
    ]);
  });

  test('are one for a small change', () => {
    const change = { chains: [chain('KUBE-SVC-1')] };
    expect(partsOf(change, 1)).toEqual([change]);
  });
});
