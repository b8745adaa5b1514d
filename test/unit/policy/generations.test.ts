import { expect, test } from 'vitest';
import type { Flow, FlowFilter } from '../../../src/kernel/types.ts';
import { type Generation, nextGeneration } from '../../../src/policy/table/generations.ts';

/** Connections that have these generations. */
class Connections {
  marks: number[];
  looks = 0;

  constructor(...generations: readonly number[]) {
    this.marks = generations.map((generation) => ((generation << 16) | 7) >>> 0);
  }

  flows = ({ family, mark }: FlowFilter): readonly Flow[] => {
    this.looks++;
    const found = family === 4 ? this.marks.filter((each) => isMeant(each, mark)) : [];
    return found.map((each) => ({ mark: each }) as Flow);
  };

  clearMarks = ({ family, mark }: FlowFilter, mask: number): number => {
    if (family === 6) return 0;
    this.marks = this.marks.map((each) => (isMeant(each, mark) ? (each & ~mask) >>> 0 : each));
    return 1;
  };
}

function isMeant(mark: number, wanted: FlowFilter['mark']): boolean {
  return wanted === undefined || (mark & wanted.mask) >>> 0 === wanted.value;
}

const END: Generation = { generation: 0x2ff, freeUntil: 0x2ff };

test('goes on within a free block without a look', () => {
  const connections = new Connections();
  const last = { generation: 0x210, freeUntil: 0x2ff };
  expect(nextGeneration(last, connections)).toEqual({ generation: 0x211, freeUntil: 0x2ff });
  expect(connections.looks).toBe(0);
});

test.each([
  { name: 'the next block', used: [], want: { generation: 0x300, freeUntil: 0x3ff } },
  { name: 'not one in use', used: [0x333], want: { generation: 0x400, freeUntil: 0x4ff } },
])('then $name', ({ used, want }) => {
  expect(nextGeneration(END, new Connections(...used))).toEqual(want);
});

test('after the last block comes the first, without 0', () => {
  const last = { generation: 0xffff, freeUntil: 0xffff };
  expect(nextGeneration(last, new Connections(0))).toEqual({ generation: 1, freeUntil: 0xff });
});

test('with idle connections everywhere, the fewest lose their stamp, and nothing else of their mark', () => {
  const everywhere = Array.from({ length: 256 }, (_, block) => (block << 8) | 1);
  const connections = new Connections(
    ...everywhere,
    ...everywhere.filter((each) => each !== 0x501),
  );
  expect(nextGeneration(END, connections)).toEqual({ generation: 0x500, freeUntil: 0x5ff });
  expect(connections.marks.filter((mark) => mark >>> 24 === 5)).toEqual([]);
  expect(connections.marks.filter((mark) => mark === 7)).toHaveLength(1);
  expect(connections.looks).toBeLessThanOrEqual(16);
});
