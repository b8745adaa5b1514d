import type { Conntrack } from '../../kernel/types.ts';
import { GENERATION_MASK, GENERATION_SHIFT, MOST_GENERATIONS } from './definition.ts';
import { FAMILIES } from './sets.ts';

/** A generation, and up to which one connections have none that follow it. */
export interface Generation {
  readonly generation: number;
  readonly freeUntil: number;
}

/** Generations are asked for in blocks of so many bits. */
const BLOCK_BITS = 8;
const BLOCKS = (MOST_GENERATIONS + 1) >>> BLOCK_BITS;
const BLOCK_SHIFT = GENERATION_SHIFT + BLOCK_BITS;
const BLOCK_MASK = ((BLOCKS - 1) << BLOCK_SHIFT) >>> 0;

/** So many blocks are looked at; each look has the kernel go through all connections. */
const MOST_LOOKS = 8;

type Connections = Pick<Conntrack, 'flows' | 'clearMarks'>;

/**
 * The generation after this one. None that a connection still has from long ago: it would pass
 * without being judged. Only the current one is ever given to connections, so a block of generations
 * that nobody has stays free until they are used. Where connections that have been idle for ages are in every
 * block, those of the one with the fewest lose their stamp, and are judged with their next packet as
 * they would be anyway. Undefined: nobody knows which there were.
 */
export function nextGeneration(last: Generation | undefined, connections: Connections): Generation {
  if (last !== undefined && last.generation < last.freeUntil) {
    return { ...last, generation: last.generation + 1 };
  }
  const from = ((last?.generation ?? 0) >>> BLOCK_BITS) + 1;
  let fewest = { block: from % BLOCKS, users: Number.POSITIVE_INFINITY };
  for (let step = 0; step < MOST_LOOKS && fewest.users > 0; step++) {
    const block = (from + step) % BLOCKS;
    const users = usersOf(block, connections);
    if (users < fewest.users) fewest = { block, users };
  }
  if (fewest.users > 0) clear(fewest.block, connections);
  return beginningOf(fewest.block);
}

function beginningOf(block: number): Generation {
  const first = block << BLOCK_BITS;
  return { generation: Math.max(1, first), freeUntil: first + (1 << BLOCK_BITS) - 1 };
}

function usersOf(block: number, connections: Connections): number {
  const found = filtersOf(block).flatMap((filter) => connections.flows(filter));
  // Block 0 has the connections without any stamp too.
  return found.filter(({ mark }) => mark >>> GENERATION_SHIFT > 0).length;
}

function clear(block: number, connections: Connections): void {
  for (const filter of filtersOf(block)) connections.clearMarks(filter, GENERATION_MASK);
}

function filtersOf(block: number) {
  const mark = { value: (block << BLOCK_SHIFT) >>> 0, mask: BLOCK_MASK };
  return FAMILIES.map((family) => ({ family, mark }));
}
