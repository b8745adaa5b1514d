import { expect, test } from 'vitest';
import { Complaints, FirstFew, Reminder, summarized } from '../../../src/util/complaints.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test.each([
  [0, []],
  [6, ['p0', 'p1', 'p2', 'p3', 'p4', 'p5']],
  [9, ['p0', 'p1', 'p2', 'p3', 'p4', 'and 4 more']],
])('%i problems in short', (count, want) => {
  expect(summarized(Array.from({ length: count }, (_, i) => `p${i}`))).toEqual(want);
});

test('what was said of an object is no news until it is something else', () => {
  const complaints = new Complaints();
  const said = [['a'], ['a'], ['b'], [], ['b']].map((problems) => complaints.news('web', problems));
  expect(said).toEqual([['a'], [], ['b'], [], ['b']]);
});

test('of each kind the first five are said, and the fifth says that it is the last', () => {
  const few = new FirstFew();
  expect(Array.from({ length: 7 }, () => few.pass('web'))).toEqual([
    ...['said', 'said', 'said', 'said', 'last', 'unsaid', 'unsaid'],
  ]);
  expect(few.pass('other')).toBe('said');
});

test('the same words are due again after a while, others at once', () => {
  const clock = new FakeClock();
  const reminder = new Reminder(clock, 1_000);
  const due = ['a', 'a', 'b', 'b'].map((words) => reminder.isDue(words));
  clock.step(-3_600_000);
  clock.advance(1_000);
  expect([...due, reminder.isDue('b')]).toEqual([true, false, true, false, true]);
});
