import { describe, expect, test } from 'vitest';
import { parseConfigDocument } from '../../../../src/agent/config/document.ts';
import { nearestWord } from '../../../../src/agent/config/nearest.ts';
import { ConfigError } from '../../../../src/util/errors.ts';

describe('parseConfigDocument', () => {
  test('null is unset, at every depth', () => {
    const { value } = parseConfigDocument('a: null\nb:\n  c: ~\n  d: 1\ne:\n', 'f.yaml');
    expect(value).toEqual({ b: { d: 1 } });
  });

  test.each([
    ['yes', true],
    ['Off', false],
    ['"yes"', 'yes'],
    ['2026-11-20', '2026-11-20'],
    ['10:20', '10:20'],
    ['0x10', 16],
  ])('%s is read as YAML 1.1 does', (text, want) => {
    expect(parseConfigDocument(`a: ${text}`, 'f.yaml').value).toEqual({ a: want });
  });

  test('JSON is read too', () => {
    expect(parseConfigDocument('{"a": {"b": [1]}}', 'f.json').value).toEqual({ a: { b: [1] } });
  });

  test('the last of two equal keys counts and both places are known', () => {
    const document = parseConfigDocument('a: 1\nb:\n  c: 1\n  c: 2\na: 3\n', 'f.yaml');
    expect(document.value).toEqual({ a: 3, b: { c: 2 } });
    expect(document.duplicates).toEqual([['b', 'c'], ['a']]);
    expect(document.origin(['b', 'c'])).toBe('f.yaml:4: b.c');
  });

  test.each([
    [['a'], 'f.yaml:1: a'],
    [['b', 'c'], 'f.yaml:3: b.c'],
    [['b', 'c', '1'], 'f.yaml:5: b.c.1'],
    [['b', 'absent', 'deeper'], 'f.yaml:2: b.absent.deeper'],
    [['absent'], 'f.yaml: absent'],
  ])('%j is found at its line', (path, want) => {
    const { origin } = parseConfigDocument('a: 1\nb:\n  c:\n    - x\n    - y\n', 'f.yaml');
    expect(origin(path)).toBe(want);
  });

  test.each([
    ['a: [1\n', /^parse f\.yaml:2:1: /],
    ['x: 0\na: b: 2\n', /^parse f\.yaml:2:4: Nested mappings .* in "a: b: 2"$/],
    ['a: 1\n---\nb: 2\n', /^parse f\.yaml:2:1: /],
  ])('%j names the place of the mistake', (text, want) => {
    const attempt = () => parseConfigDocument(text, 'f.yaml');
    expect(attempt).toThrow(ConfigError);
    expect(attempt).toThrow(want);
  });
});

test.each([
  ['clusterCidr', 'clusterCIDR'],
  ['agnet', 'agent'],
  ['nodeNmae', 'nodeName'],
  ['x', undefined],
  ['entirely', undefined],
])('nearest to %s is %s', (word, want) => {
  expect(nearestWord(word, ['clusterCIDR', 'agent', 'nodeName', 'v'])).toBe(want);
});
