import { expect, test } from 'vitest';
import { AttributeWriter } from '../../../src/netlink/attributes.ts';
import { decodeRule } from '../../../src/nftables/decode-rules.ts';
import { encodeRule } from '../../../src/nftables/encode-objects.ts';
import type { Rule, Table } from '../../../src/nftables/model.ts';
import { accept, counter, goTo, jump, xtMatch } from '../../../src/nftables/statements.ts';

const table: Table = { family: 'ip', name: 'filter' };
const commentMatch = xtMatch('comment', 0, 'from iptables\0'.padEnd(256, '\0'));
const handle = 0x1_0000_0005n;

/** What the kernel lists of a rule: what it was sent, and its handle. */
function listed(rule: Rule): Buffer {
  const attributes = new AttributeWriter().u64be(3, handle).finish();
  return Buffer.concat([encodeRule(table, 'FORWARD', rule), attributes]);
}

test.each<{ name: string; rule: Rule; want: object }>([
  { name: 'nothing to tell', rule: { statements: [accept] }, want: {} },
  {
    name: 'a counter',
    rule: { statements: [counter(), accept] },
    want: { counter: { packets: 0n, bytes: 0n } },
  },
  {
    name: "nft's comment",
    rule: { statements: [accept], comment: 'from nft' },
    want: { comment: 'from nft' },
  },
  {
    name: "iptables' comment",
    rule: { statements: [commentMatch, counter(), accept] },
    want: { comment: 'from iptables', counter: { packets: 0n, bytes: 0n } },
  },
  {
    name: 'a jump',
    rule: { statements: [counter(), jump('A')] },
    want: { target: 'A', counter: { packets: 0n, bytes: 0n } },
  },
  {
    name: 'a goto with a comment',
    rule: { statements: [commentMatch, goTo('B')] },
    want: { target: 'B', comment: 'from iptables' },
  },
  {
    name: 'another match',
    rule: { statements: [xtMatch('conntrack', 3, 'x'), accept] },
    want: {},
  },
])('$name', ({ rule, want }) => {
  expect(decodeRule(listed(rule))).toEqual({ handle, ...want });
});

test('the content of an xtables match is padded to eight bytes', () => {
  const lengths = ['', 'x', 'x'.repeat(8), 'x'.repeat(164)].map((content) => {
    const match = xtMatch('m', 1, content);
    return match.kind === 'xtMatch' ? match.content.length : undefined;
  });
  expect(lengths).toEqual([0, 8, 8, 168]);
});
