import { expect, test } from 'vitest';
import { readSources } from '../support/imports.ts';

/** Constant values at the top of a module: numbers, texts, expressions, lists, sets and maps. */
const LOWER_CONSTANT =
  /^(?:export )?const ([a-z]\w*)(?:: [^=\n]+)? =\s*(?:-?\d|'|`|\/[^/*]|\[|new (?:Set|Map)\(\[|Buffer\.|parse(?:IP|Cidr)\()/gm;

function lowerConstants(text: string): readonly string[] {
  return [...text.matchAll(LOWER_CONSTANT)].flatMap(([, name]) => name ?? []);
}

test('constants at the top of modules are UPPER_SNAKE', () => {
  const sources = readSources(new URL('../../src', import.meta.url).pathname);
  const found = sources.flatMap(({ path, text }) => {
    return path.includes('.generated.')
      ? []
      : lowerConstants(text).map((name) => `${path} ${name}`);
  });
  expect(found).toEqual([]);
});

test('the rule itself fires', () => {
  const text =
    "const limitMs = 5;\nexport const NAMES = ['a'];\nconst names: string[] = ['a'];\nconst f = () => 1;\n";
  expect(lowerConstants(text)).toEqual(['limitMs', 'names']);
});
