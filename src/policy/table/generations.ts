import type { Conntrack } from '../../kernel/types.ts';
import { GENERATION_SHIFT, MOST_GENERATIONS } from './definition.ts';
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

/**
 * The generation after this one. None that a connection still has from long ago: it would pass
 * without being judged. Only the current one is ever given to connections, so a block of generations
 * that nobody has stays free until they are used. Undefined: nobody knows which there were.
 */
export function nextGeneration(
  last: Generation | undefined,
  conntrack: Pick<Conntrack, 'flows'>,
): Generation {
  if (last !== undefined && last.generation < last.freeUntil) {
    return { ...last, generation: last.generation + 1 };
  }
  const from = ((last?.generation ?? 0) >>> BLOCK_BITS) + 1;
  for (let step = 0; step < BLOCKS; step++) {
    const block = (from + step) % BLOCKS;
    const first = Math.max(1, block << BLOCK_BITS);
    const end = ((block + 1) << BLOCK_BITS) - 1;
    const used = usedIn(block, conntrack);
    if (used.size === 0) return { generation: first, freeUntil: end };
  }
  throw new RangeError('connections have generations of policies from every block');
}

function usedIn(block: number, conntrack: Pick<Conntrack, 'flows'>): ReadonlySet<number> {
  const mark = { value: (block << BLOCK_SHIFT) >>> 0, mask: BLOCK_MASK };
  const flows = FAMILIES.flatMap((family) => conntrack.flows({ family, mark }));
  // Block 0 has the connections without any stamp too.
  return new Set(flows.map((flow) => flow.mark >>> GENERATION_SHIFT).filter((each) => each > 0));
}
