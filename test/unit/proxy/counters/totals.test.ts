import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Count, CounterTotals } from '../../../../src/proxy/counters/totals.ts';

type Step =
  | readonly ['begin' | 'end' | 'break']
  | readonly ['observe' | 'retire', id: string, data: string, packets: number];

const count = (id: string, data: string, packets: number): Count => ({
  id,
  data,
  packets,
  series: 's',
});

function endCompletely(totals: CounterTotals): void {
  totals.end();
  finish(totals.prune());
}

function finish(steps: Iterable<void>): void {
  for (const _ of steps);
}

function run(steps: readonly Step[]): number {
  const totals = new CounterTotals();
  for (const [what, id = '', data = '', packets = 0] of steps) {
    if (what === 'begin') totals.begin();
    else if (what === 'end') endCompletely(totals);
    else if (what === 'break') totals.end();
    else totals[what](count(id, data, packets));
  }
  return totals.totals.get('s') ?? 0;
}

describe('CounterTotals', () => {
  test.each<{ name: string; steps: readonly Step[]; want: number }>([
    { name: 'nothing counted', steps: [['begin'], ['observe', 'a', 'x', 0]], want: 0 },
    { name: 'what the kernel has at the start', steps: [['observe', 'a', 'x', 5]], want: 5 },
    {
      name: 'the increase alone',
      steps: [
        ['observe', 'a', 'x', 5],
        ['observe', 'a', 'x', 8],
      ],
      want: 8,
    },
    {
      name: 'two elements of one series',
      steps: [
        ['observe', 'a', 'x', 5],
        ['observe', 'b', 'x', 2],
      ],
      want: 7,
    },
    {
      name: 'an element that began anew',
      steps: [
        ['observe', 'a', 'x', 5],
        ['observe', 'a', 'x', 3],
      ],
      want: 8,
    },
    {
      name: 'a replacement that has counted more',
      steps: [
        ['observe', 'a', 'x', 5],
        ['observe', 'a', 'y', 6],
      ],
      want: 11,
    },
    {
      name: 'the last word of a deleted element',
      steps: [
        ['observe', 'a', 'x', 5],
        ['retire', 'a', 'x', 9],
        ['begin'],
        ['observe', 'a', 'x', 2],
      ],
      want: 11,
    },
    {
      name: 'a reading that still lists what was deleted meanwhile',
      steps: [['begin'], ['retire', 'a', 'x', 9], ['observe', 'a', 'x', 8]],
      want: 9,
    },
    {
      name: 'the last word after the reading that has seen the replacement',
      steps: [
        ['observe', 'a', 'x', 3],
        ['begin'],
        ['observe', 'a', 'y', 1],
        ['retire', 'a', 'x', 9],
        ['end'],
        ['begin'],
        ['observe', 'a', 'y', 2],
      ],
      want: 11,
    },
    {
      name: 'and the same where the replacement looks alike',
      steps: [
        ['observe', 'a', 'x', 3],
        ['begin'],
        ['observe', 'a', 'x', 1],
        ['end'],
        ['retire', 'a', 'x', 9],
        ['begin'],
        ['observe', 'a', 'x', 2],
      ],
      want: 11,
    },
    {
      name: 'the new element in the next reading',
      steps: [
        ['begin'],
        ['retire', 'a', 'x', 9],
        ['observe', 'a', 'x', 1],
        ['end'],
        ['begin'],
        ['observe', 'a', 'x', 2],
      ],
      want: 11,
    },
    {
      name: 'an element that came again after a complete reading without it',
      steps: [
        ['begin'],
        ['observe', 'a', 'x', 5],
        ['end'],
        ['begin'],
        ['end'],
        ['begin'],
        ['observe', 'a', 'x', 6],
      ],
      want: 11,
    },
    {
      name: 'an element that an incomplete reading has missed',
      steps: [
        ['begin'],
        ['observe', 'a', 'x', 5],
        ['end'],
        ['begin'],
        ['break'],
        ['begin'],
        ['observe', 'a', 'x', 6],
      ],
      want: 6,
    },
  ])('$name', ({ steps, want }) => {
    expect(run(steps)).toBe(want);
  });

  test('with every deletion told, the total is the truth whenever it is read', () => {
    const hit = fc.record({
      kind: fc.constant('hit' as const),
      times: fc.integer({ min: 1, max: 9 }),
    });
    const replace = fc.record({ kind: fc.constant('replace' as const), data: fc.nat(2) });
    const read = fc.record({ kind: fc.constant('read' as const) });
    fc.assert(
      fc.property(fc.array(fc.oneof(hit, replace, read), { maxLength: 40 }), (events) => {
        const totals = new CounterTotals();
        const element = { data: 'd0', packets: 0 };
        let truth = 0;
        for (const event of [...events, { kind: 'read' as const }]) {
          if (event.kind === 'hit') {
            element.packets += event.times;
            truth += event.times;
          } else if (event.kind === 'replace') {
            totals.retire(count('a', element.data, element.packets));
            element.data = `d${event.data}`;
            element.packets = 0;
          } else {
            totals.begin();
            totals.observe(count('a', element.data, element.packets));
            endCompletely(totals);
          }
        }
        expect(totals.totals.get('s') ?? 0).toBe(truth);
      }),
    );
  });

  test('a series that is forgotten begins anew', () => {
    const totals = new CounterTotals();
    totals.observe(count('a', 'x', 5));
    finish(totals.forget((series) => series === 's'));
    expect([...totals.totals]).toEqual([]);
    totals.observe(count('a', 'x', 7));
    expect([...totals.totals]).toEqual([['s', 2]]);
  });
});
