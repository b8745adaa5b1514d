import { expect, test } from 'vitest';
import { parseCidr } from '../../../src/net/cidr.ts';
import { protocolBytes } from '../../../src/nftables/bytes.ts';
import { isSameRule } from '../../../src/nftables/compare-rules.ts';
import { encodeRule } from '../../../src/nftables/encode-objects.ts';
import type { Rule, Table } from '../../../src/nftables/model.ts';
import { ip, meta, th } from '../../../src/nftables/selectors.ts';
import {
  accept,
  counter,
  drop,
  goTo,
  jump,
  lookup,
  match,
  matchCidr,
  type Statement,
} from '../../../src/nftables/statements.ts';

const table: Table = { family: 'ip', name: 'filter' };
const listed = (...statements: readonly Statement[]) => encodeRule(table, 'c', { statements });
const isTcp = match(meta.l4proto, '==', protocolBytes('tcp'));
const from = (cidr: string) => matchCidr(ip.saddr, '==', parseCidr(cidr));
const rule: Rule = { statements: [isTcp, from('10.0.0.0/12'), goTo('a')], comment: 'why' };

test.each([
  { name: 'the same', found: listed(isTcp, from('10.0.0.0/12'), goTo('a')), want: true },
  { name: 'another network', found: listed(isTcp, from('10.16.0.0/12'), goTo('a')), want: false },
  { name: 'another length', found: listed(isTcp, from('10.0.0.0/13'), goTo('a')), want: false },
  { name: 'another chain', found: listed(isTcp, from('10.0.0.0/12'), goTo('b')), want: false },
  { name: 'jump for goto', found: listed(isTcp, from('10.0.0.0/12'), jump('a')), want: false },
  { name: 'a verdict', found: listed(isTcp, from('10.0.0.0/12'), drop), want: false },
  { name: 'one less', found: listed(isTcp, goTo('a')), want: false },
  { name: 'one more', found: listed(isTcp, from('10.0.0.0/12'), goTo('a'), accept), want: false },
  { name: 'none', found: listed(), want: false },
])('$name', ({ found, want }) => {
  expect(isSameRule(table, 'c', rule, found)).toBe(want);
});

test('registers by their old numbers are the same', () => {
  const statements = [lookup([ip.saddr, th.dport], 'set')];
  const found = listed(...statements);
  // Attribute 2 of the lookup, its source register: 8 as we name it, 1 as the kernel lists it.
  const register = Buffer.from('080002000000', 'hex');
  const at = found.lastIndexOf(register);
  expect(at).toBeGreaterThan(0);
  found.writeUInt32BE(1, at + 4);
  expect(isSameRule(table, 'c', { statements }, found)).toBe(true);
  found.writeUInt32BE(2, at + 4);
  expect(isSameRule(table, 'c', { statements }, found)).toBe(false);
});

test('what a counter has seen makes no other rule of it', () => {
  const statements = [isTcp, counter(), drop];
  const found = listed(...statements);
  // The attribute's header and the number of packets.
  const packets = Buffer.from('0c0002000000000000000000', 'hex');
  const at = found.lastIndexOf(packets);
  expect(at).toBeGreaterThan(0);
  found.writeBigUInt64BE(7n, at + 4);
  expect(isSameRule(table, 'c', { statements }, found)).toBe(true);
  expect(isSameRule(table, 'c', { statements: [isTcp, drop] }, found)).toBe(false);
});
