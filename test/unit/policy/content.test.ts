import { expect, test } from 'vitest';
import type { Element } from '../../../src/nftables/model.ts';
import { ContentBook } from '../../../src/policy/content.ts';

const element = (key: string, data = '1'): Element => ({ key, data });

/** What changes make of what was there, by set. */
function applied(before: ReadonlyMap<string, readonly Element[]>, book: ContentBook) {
  const sets = new Map(before);
  for (const { set, remove, add } of book.changes()) {
    const gone = new Set(remove.map(({ key }) => key));
    for (const { key } of remove) expect((before.get(set) ?? []).map((e) => e.key)).toContain(key);
    const kept = (before.get(set) ?? []).filter(({ key }) => !gone.has(key));
    for (const { key } of add) expect(kept.map((e) => e.key)).not.toContain(key);
    sets.set(set, [...kept, ...add]);
  }
  return sets;
}

function sorted(content: ReadonlyMap<string, readonly Element[]>) {
  return [...content]
    .map(([set, elements]) => [set, elements.map(({ key, data }) => `${key}=${data}`).sort()])
    .filter(([, elements]) => (elements?.length ?? 0) > 0)
    .sort();
}

test('changes make what was there into what is there, from nothing and back to nothing', () => {
  const book = new ContentBook();
  const steps: readonly (() => void)[] = [
    () => book.put('a', element('x')),
    () => book.put('a', element('x', '2')),
    () => book.remove('a', 'x'),
    () => book.fill('b', [element('p'), element('q')]),
    () => book.fill('b', []),
    () => book.put('b', element('p')),
    () => {
      book.remove('b', 'p');
      book.put('b', element('p'));
      book.put('a', element('x'));
    },
  ];
  for (const settleEvery of [1, 2, 3, 7]) {
    let before = book.content();
    for (const [i, step] of steps.entries()) {
      step();
      expect(sorted(applied(before, book)), `${settleEvery} ${i}`).toEqual(sorted(book.content()));
      if (i % settleEvery !== 0) continue;
      book.settle();
      expect(book.changes()).toEqual([]);
      before = book.content();
    }
    book.settle();
  }
});
