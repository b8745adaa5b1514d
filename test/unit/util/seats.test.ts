import { expect, test } from 'vitest';
import { Seats } from '../../../src/util/seats.ts';

/** `source` + number, as they come; `!` at the end: its request is whole. */
function run(most: number, steps: readonly string[]) {
  const ended: string[] = [];
  const refused: string[] = [];
  const seats = new Seats<string>({ most, end: (holder) => ended.push(holder) });
  for (const step of steps) {
    const name = step.replace(/[!-]$/, '');
    if (step.endsWith('-')) seats.leave(name);
    else if (!seats.take(name, name[0] ?? '')) refused.push(name);
    if (step.endsWith('!')) seats.mark(name, true);
  }
  return { ended, refused, taken: seats.taken };
}

test.each([
  {
    name: 'one source can have three of four',
    steps: ['a1', 'a2', 'a3', 'a4', 'b1'],
    want: { ended: ['a1'], refused: [], taken: 4 },
  },
  {
    name: 'who waits for its client gives way, the oldest first',
    steps: ['a1!', 'a2', 'b1', 'a3', 'b2', 'b3'],
    want: { ended: ['a2', 'b1'], refused: [], taken: 4 },
  },
  {
    name: 'the source with the most seats gives one up',
    steps: ['b1', 'c1', 'a1', 'a2', 'd1'],
    want: { ended: ['a1'], refused: [], taken: 4 },
  },
  {
    name: 'nobody gives way to a source that has more',
    steps: ['b1', 'a1!', 'a2!', 'c1', 'a3'],
    want: { ended: [], refused: ['a3'], taken: 4 },
  },
  {
    name: 'what is worked for stays',
    steps: ['a1!', 'b1!', 'c1!', 'd1!', 'e1'],
    want: { ended: [], refused: ['e1'], taken: 4 },
  },
  {
    name: 'a seat that was left is free, and left once',
    steps: ['a1', 'b1', 'c1', 'd1', 'a1-', 'a1-', 'e1'],
    want: { ended: [], refused: [], taken: 4 },
  },
])('$name', ({ steps, want }) => {
  expect(run(4, steps)).toEqual(want);
});

test('one whose answer is there waits last', () => {
  const ended: string[] = [];
  const seats = new Seats<string>({ most: 2, end: (holder) => ended.push(holder) });
  seats.take('one', 'a');
  seats.take('two', 'b');
  seats.mark('one', true);
  seats.mark('one', false);
  seats.take('three', 'c');
  expect(ended).toEqual(['two']);
});

test('the only seat passes on', () => {
  const ended: string[] = [];
  const seats = new Seats<string>({ most: 1, end: (holder) => ended.push(holder) });
  expect([seats.take('one', 'a'), seats.take('two', 'a'), seats.take('three', 'b')]).toEqual([
    true,
    true,
    true,
  ]);
  expect(ended).toEqual(['one', 'two']);
});
