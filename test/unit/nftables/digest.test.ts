import { expect, test } from 'vitest';
import { definitionDigest, markedTable } from '../../../src/nftables/digest.ts';
import type { TableDefinition } from '../../../src/nftables/model.ts';
import { ip, th } from '../../../src/nftables/selectors.ts';
import { accept, drop } from '../../../src/nftables/statements.ts';

const definition: TableDefinition = {
  table: { family: 'ip', name: 'weft-test' },
  sets: [{ name: 's', key: [ip.saddr] }],
  chains: [{ name: 'c', rules: [{ statements: [accept] }] }],
};

test.each<[string, TableDefinition]>([
  ['another key', { ...definition, sets: [{ name: 's', key: [ip.daddr] }] }],
  ['another flag', { ...definition, sets: [{ name: 's', key: [ip.saddr], isInterval: true }] }],
  ['one more set', { ...definition, sets: [...definition.sets, { name: 't', key: [th.dport] }] }],
  ['another rule', { ...definition, chains: [{ name: 'c', rules: [{ statements: [drop] }] }] }],
  [
    'a base chain',
    {
      ...definition,
      chains: [
        {
          name: 'c',
          base: { type: 'filter', hook: 'input', priority: 0 },
          rules: [{ statements: [accept] }],
        },
      ],
    },
  ],
  ['another family', { ...definition, table: { family: 'ip6', name: 'weft-test' } }],
])('%s changes the digest', (_, changed) => {
  expect(definitionDigest(changed)).not.toBe(definitionDigest(definition));
});

test('an equal definition has the same digest', () => {
  expect(definitionDigest(structuredClone(definition))).toBe(definitionDigest(definition));
});

test.each([
  [undefined, /^weft-test [0-9a-f]{8}$/],
  ['weft', /^weft [0-9a-f]{8}$/],
  ['é'.repeat(100), /^é{59} [0-9a-f]{8}$/],
])('comment %s', (comment, want) => {
  const table = { ...definition.table, ...(comment === undefined ? {} : { comment }) };
  expect(markedTable({ ...definition, table }).comment).toMatch(want);
});
