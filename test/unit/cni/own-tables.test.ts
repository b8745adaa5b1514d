import { expect, test } from 'vitest';
import { CNI_TABLES } from '../../../src/cni/own-tables.ts';
import { readSources } from '../../support/imports.ts';

test('cleanup knows each table that the CNI side makes', () => {
  const sources = readSources(new URL('../../../src/cni', import.meta.url).pathname);
  const defined = sources.flatMap(({ text }) =>
    Array.from(text.matchAll(/family: '\w+', name: '(weft-[^']+)'/g), ([, name]) => name),
  );
  expect(defined.length).toBeGreaterThan(2);
  expect(CNI_TABLES.map(({ name }) => name).sort()).toEqual([...new Set(defined)].sort());
});
