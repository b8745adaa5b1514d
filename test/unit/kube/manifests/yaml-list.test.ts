import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseManifest } from '../../../../src/kube/manifests/manifest-file.ts';
import { splitYamlList } from '../../../../src/kube/manifests/yaml-list.ts';
import { services } from '../../../../src/kube/resources.ts';
import { serviceObject } from '../../../support/kube.ts';

/** Long enough to be worth cutting. */
const FILLER = `# ${'x'.repeat(16 << 10)}\n`;
const wanted = new Map([['v1 Service', services]]);

const awkward = [
  serviceObject('a', { externalName: '--- \n- x\nitems:\n- y\n' }),
  serviceObject('b', { externalName: 'long '.repeat(60), ports: [{ port: 80 }, { port: 81 }] }),
  serviceObject('c', { externalName: '# no comment\n\n\n  indented\n' }),
];
const list = {
  apiVersion: 'v1',
  kind: 'ServiceList',
  items: awkward,
  metadata: { resourceVersion: '' },
};

describe('a list', () => {
  test.each([
    { name: 'as kubectl writes it', text: stringify(list, { indentSeq: false }) },
    { name: 'with indented dashes', text: stringify(list, { indentSeq: true }) },
    {
      name: 'with comments and blank lines',
      text: stringify(list, { indentSeq: false }).replaceAll('\n- ', '\n\n# next\n- '),
    },
  ])('$name is cut into what it holds', ({ text }) => {
    const found = splitYamlList(FILLER + text);
    expect(found?.items.map((item) => parse(item.text))).toEqual(awkward);
    expect(parse(found?.head ?? '')).toEqual({ ...list, items: [] });
    for (const { text: item, offset } of found?.items ?? []) {
      expect(`${FILLER}${text}`.slice(offset).trimStart().slice(2)).toMatch(
        item.trimStart().slice(0, 40),
      );
    }
  });

  test.each([
    { name: 'a short one', text: stringify(list, { indentSeq: false }) },
    { name: 'in flow style', text: `${FILLER}items: [{a: 1}]\n` },
    { name: 'with an anchor', text: `${FILLER}items:\n- a: &x 1\n- b: *x\n` },
    { name: 'with tabs', text: `${FILLER}items:\n- a:\t1\n` },
    { name: 'twice', text: `${FILLER}items:\n- a: 1\nitems:\n- b: 1\n` },
    { name: 'deeper in the document', text: `${FILLER}spec:\n  items:\n  - a: 1\n` },
  ])('$name stays whole', ({ text }) => {
    expect(splitYamlList(text)).toBeUndefined();
  });
});

test('any list that is cut holds what the parser finds in the whole', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[-#:>|'"\n &*a]{0,30}$/));
  const value = fc.oneof(text, fc.array(text, { maxLength: 3 }), fc.dictionary(text, text));
  const items = fc.array(fc.dictionary(text, value, { minKeys: 1 }), {
    minLength: 1,
    maxLength: 4,
  });
  let cut = 0;
  fc.assert(
    fc.property(items, fc.boolean(), (objects, indentSeq) => {
      const written = { apiVersion: 'v1', kind: 'List', items: objects };
      const whole = FILLER + stringify(written, { indentSeq });
      const found = splitYamlList(whole);
      if (found === undefined) return;
      cut++;
      expect(found.items.map((item) => parse(item.text))).toEqual(parse(whole).items);
      expect(parse(found.head)).toEqual({ ...written, items: [] });
    }),
    { numRuns: 300 },
  );
  expect(cut).toBeGreaterThan(30);
});

test('what is wrong in an item is named with its place', async () => {
  const text = FILLER + stringify(list, { indentSeq: false }).replace('port: 81', 'port: "81"');
  const line = text.split('\n').findIndex((candidate) => candidate.includes('"81"')) + 1;
  const column = (text.split('\n')[line - 1] ?? '').indexOf('"81"') + 1;
  await expect(parseManifest(text, wanted)).rejects.toMatchObject({
    key: 'items[1].spec.ports[1].port',
    line,
    column,
  });
});

test('only items that changed are parsed again', async () => {
  const before = await parseManifest(FILLER + stringify(list, { indentSeq: false }), wanted);
  const changed = { ...list, items: [awkward[0], serviceObject('new'), awkward[2]] };
  const text = FILLER + stringify(changed, { indentSeq: false });
  const after = await parseManifest(text, wanted, before);
  const objects = [...after.values()].flatMap((piece) => piece.objects);
  const known = new Set([...before.values()].flatMap((piece) => piece.objects));
  expect(objects.map((entry) => known.has(entry))).toEqual([true, false, true]);
});
