import { describe, expect, test } from 'vitest';
import { ruleKey } from '../../../src/iptables/rule-key.ts';

describe('rule keys', () => {
  const same = [
    [
      'comments and modules',
      '-d 172.30.0.1/32 -p tcp -m comment --comment "a \\"b\\" c" -m tcp --dport 80 -j X',
      '-p tcp -d 172.30.0.1/32 -m tcp --dport 80 -j X',
    ],
    [
      'digits of probabilities',
      '-m statistic --mode random --probability 0.3333333333 -j X',
      '-m statistic --mode random --probability 0.33333333349 -j X',
    ],
    [
      'what nobody asked for',
      '-m recent --set --name X --mask 255.255.255.255 --rsource -m tcp -j Y',
      '-m recent --set --name X -j Y',
    ],
  ] as const;
  test.each(same)('are the same but for %s', (_, left, right) => {
    expect(ruleKey(left)).toBe(ruleKey(right));
  });

  const rules = [
    '-s 10.0.0.0/8 -j X',
    '! -s 10.0.0.0/8 -j X',
    '-d 10.0.0.0/8 -j X',
    '-s 10.0.0.0/8 -j Y',
    '-s 10.0.0.0/8 ! -d 10.0.0.0/8 -j X',
    '! -s 10.0.0.0/8 -d 10.0.0.0/8 -j X',
    '-m statistic --mode random --probability 0.5000000000 -j X',
    '-m statistic --mode random --probability 0.2500000000 -j X',
    '-m recent --rcheck --seconds 10 --reap --name A -j X',
    '-m recent --rcheck --seconds 20 --reap --name A -j X',
    '-m mark --mark 0x4000/0x4000 -j ACCEPT',
    '-m mark --mark 0x8000/0x8000 -j ACCEPT',
  ];
  test('tell rules apart that do other things', () => {
    expect(new Set(rules.map(ruleKey)).size).toBe(rules.length);
  });
});
