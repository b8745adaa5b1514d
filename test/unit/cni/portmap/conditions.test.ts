import { describe, expect, test } from 'vitest';
import { conditionText, parseCondition } from '../../../../src/cni/portmap/conditions.ts';
import type { Statement } from '../../../../src/nftables/statements.ts';
import { ConfigError } from '../../../../src/util/errors.ts';

const hex = (bytes: string) => Buffer.from(bytes, 'latin1').toString('hex');
const summary = (statement: Statement) => {
  if (statement.kind !== 'match' && statement.kind !== 'matchMasked') return statement.kind;
  const mask = statement.kind === 'match' ? '' : ` & ${hex(statement.mask)}`;
  const { selector, comparison, value } = statement;
  return `${selector.text}${mask} ${comparison} ${hex(value)}`;
};
const parse = (text: string, family: 4 | 6 = 4) =>
  parseCondition(text, { key: 'conditionsV4', family }).map((all) => all.map(summary));

const tcp = 'meta l4proto == 06';

describe('each way of saying it becomes statements', () => {
  test.each<[string, string[][]]>([
    ['', [[]]],
    ['ip saddr 10.0.0.1', [['ip saddr == 0a000001']]],
    ['ip saddr == 10.0.0.1', [['ip saddr == 0a000001']]],
    ['ip daddr 10.1.2.3/8', [['ip daddr == 0a']]],
    ['ip saddr != 10.0.0.0/12', [['ip saddr & fff00000 != 0a000000']]],
    ['ip saddr 10.0.0.1-10.0.0.5', [['ip saddr >= 0a000001', 'ip saddr <= 0a000005']]],
    ['ip saddr != 10.0.0.1-10.0.0.5', [['ip saddr < 0a000001'], ['ip saddr > 0a000005']]],
    ['ip saddr { 10.0.0.1, 10.0.0.2 }', [['ip saddr == 0a000001'], ['ip saddr == 0a000002']]],
    ['ip saddr != {10.0.0.1,10.0.0.2}', [['ip saddr != 0a000001', 'ip saddr != 0a000002']]],
    ['tcp dport 80', [[tcp, 'th dport == 0050']]],
    ['udp sport != 53', [['meta l4proto == 11', 'th sport != 0035']]],
    ['th dport 80-90', [['th dport >= 0050', 'th dport <= 005a']]],
    ['th dport > 1023', [['th dport > 03ff']]],
    ['sctp sport <= 9', [['meta l4proto == 84', 'th sport <= 0009']]],
    [
      'tcp dport { 80, 90-99 }',
      [
        [tcp, 'th dport == 0050'],
        [tcp, 'th dport >= 005a', 'th dport <= 0063'],
      ],
    ],
    ['iifname "eth0"', [[`iifname == ${hex('eth0'.padEnd(16, '\0'))}`]]],
    ['meta oifname != br*', [[`oifname != ${hex('br')}`]]],
    ['meta mark 0x10', [['meta mark == 10000000']]],
    ['mark & 0xff != 3', [['meta mark & ff000000 != 03000000']]],
    ['meta mark and 0x1 == 0x1', [['meta mark & 01000000 == 01000000']]],
    ['meta l4proto { tcp, 17 }', [[tcp], ['meta l4proto == 11']]],
    ['ip protocol != sctp', [['meta l4proto != 84']]],
    ['fib saddr type != local', [['fib saddr type != 02000000']]],
    [
      'ip saddr {10.0.0.1, 10.0.0.2} ip daddr != {10.1.0.1, 10.1.0.2}',
      [
        ['ip saddr == 0a000001', 'ip daddr != 0a010001', 'ip daddr != 0a010002'],
        ['ip saddr == 0a000002', 'ip daddr != 0a010001', 'ip daddr != 0a010002'],
      ],
    ],
  ])('%s', (text, want) => {
    expect(parse(text)).toEqual(want);
  });

  test('of IPv6', () => {
    expect(parse('ip6 saddr != fd00::/16', 6)).toEqual([['ip6 saddr != fd00']]);
    expect(parse('ip6 daddr 2001:db8::1-2001:db8::5', 6)).toEqual([
      [
        'ip6 daddr >= 20010db8000000000000000000000001',
        'ip6 daddr <= 20010db8000000000000000000000005',
      ],
    ]);
  });
});

describe('whatever else is refused, named with what to do', () => {
  test.each<[string, string]>([
    ['ip', 'ends too early'],
    ['ip saddr', 'ends too early'],
    ['ip saddr {', 'ends too early'],
    ['ip saddr { 10.0.0.1', 'ends too early'],
    ['ip saddr { 10.0.0.1 10.0.0.2 }', '"10.0.0.2" is not understood'],
    ['ip saddr {}', '"}" is not understood'],
    ['ip saddr @set', '"@set" is not understood'],
    ['ip saddr fd00::1', '"fd00::1" is not understood'],
    ['ip saddr 10.0.0.0/33', '"10.0.0.0/33" is not understood'],
    ['ip saddr 10.0.0.1-', '"10.0.0.1-" is not understood'],
    ['ip saddr 10.0.0.1-fd00::1', '"10.0.0.1-fd00::1" is not understood'],
    ['ip saddr > 10.0.0.1', '">" is not understood'],
    ['ip ttl 5', '"ttl" is not understood'],
    ['ip6 saddr fd00::1', '"ip6" is not understood'],
    ['tcp flags syn', '"flags" is not understood'],
    ['tcp dport http', '"http" is not understood'],
    ['tcp dport 65536', '"65536" is not understood'],
    ['tcp dport 1-2-3', '"1-2-3" is not understood'],
    ['tcp dport < 0x', '"0x" is not understood'],
    ['iifname a/b', '"a/b" is not understood'],
    ['iifname *', '"*" is not understood'],
    ['iifname sixteen-bytes-xx', '"sixteen-bytes-xx" is not understood'],
    ['mark & x 1', '"x" is not understood'],
    ['meta l4proto constructor', '"constructor" is not understood'],
    ['fib daddr type prohibit', '"prohibit" is not understood'],
    ['fib daddr . iif type local', '"." is not understood'],
    ['ct state new', '"ct" is not understood'],
    ['tcp dport 80 accept', '"accept" is not understood'],
    ['tcp dport 80; flush ruleset', '"80;" is not understood'],
  ])('%s', (text, problem) => {
    const cure = 'say it in the syntax of iptables, with backend "iptables"';
    const error = new ConfigError('conditionsV4', `${problem}: ${cure}`);
    expect(() => parse(text)).toThrow(error);
  });

  test('more than rules can hold', () => {
    const set = (count: number) =>
      `{ ${Array.from({ length: count }, (_, n) => `10.0.0.${n}`).join(', ')} }`;
    expect(parse(`ip saddr ${set(64)}`)).toHaveLength(64);
    expect(parse(`ip saddr != ${set(36)}`)[0]).toHaveLength(36);
    for (const text of [
      `ip saddr ${set(65)}`,
      `ip saddr ${set(9)} ip daddr ${set(9)}`,
      `ip saddr != ${set(37)}`,
    ]) {
      expect(() => parse(text)).toThrow('too many for rules of nftables');
    }
  });
});

test('spaces do not make another condition', () => {
  const same = [['ip saddr  {10.0.0.1,10.0.0.2}'], ['ip', 'saddr', '{ 10.0.0.1', ', 10.0.0.2 }']];
  expect(new Set(same.map(conditionText)).size).toBe(1);
});
