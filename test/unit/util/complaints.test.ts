import { expect, test } from 'vitest';
import { Complaints, FirstFew, summarized } from '../../../src/util/complaints.ts';

test.each([
  [0, []],
  [6, ['p0', 'p1', 'p2', 'p3', 'p4', 'p5']],
  [9, ['p0', 'p1', 'p2', 'p3', 'p4', 'and 4 more']],
])('%i problems in short', (count, want) => {
  expect(summarized(Array.from({ length: count }, (_, i) => `p${i}`))).toEqual(want);
});

test('what was said of an object is no news until it is something else, or the object new', () => {
  const complaints = new Complaints();
  const said = [['a'], ['a'], ['b'], [], ['b']].map((problems) => complaints.news('web', problems));
  expect(said).toEqual([['a'], [], ['b'], [], ['b']]);
  complaints.forget('web');
  expect(complaints.news('web', ['b'])).toEqual(['b']);
});

test('of each kind the first five are said, and the fifth says that it is the last', () => {
  const few = new FirstFew();
  expect(Array.from({ length: 7 }, () => few.pass('web'))).toEqual([
    ...['said', 'said', 'said', 'said', 'last', 'unsaid', 'unsaid'],
  ]);
  expect(few.pass('other')).toBe('said');
});
