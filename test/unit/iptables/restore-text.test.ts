import { describe, expect, test } from 'vitest';
import { restoreText } from '../../../src/iptables/restore-text.ts';

describe('restore text', () => {
  test('keeps the order of rules and removes last', () => {
    const guest = (rule: string, position: 'first' | 'last') =>
      ({ table: 'filter', chain: 'INPUT', rule, position }) as const;
    const text = restoreText({
      chains: [
        { table: 'nat', name: 'A', rules: ['-j B'] },
        { table: 'filter', name: 'C', rules: [] },
      ],
      newChains: [{ table: 'filter', name: 'KUBE-FIREWALL' }],
      guests: [guest('-j ONE', 'first'), guest('-j TWO', 'first'), guest('-j END', 'last')],
      removedGuests: [guest('-j OLD', 'first')],
      removedChains: [{ table: 'nat', name: 'Z' }],
    });
    expect(text.split('\n')).toEqual([
      ...['*filter', ':KUBE-FIREWALL - [0:0]', ':C - [0:0]', '-D INPUT -j OLD'],
      ...['-I INPUT -j TWO', '-I INPUT -j ONE', '-A INPUT -j END', 'COMMIT'],
      ...['*nat', ':A - [0:0]', ':Z - [0:0]', '-A A -j B', '-X Z', 'COMMIT', ''],
    ]);
  });

  test('is empty for nothing', () => {
    expect(restoreText({ chains: [] })).toBe('');
  });
});
