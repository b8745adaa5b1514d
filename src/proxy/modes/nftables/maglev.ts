import { sha256 } from '../../../util/sha256.ts';

/** Prime, so that every step visits every slot. */
const SIZES = [251, 1021, 4093, 16_381] as const;
/**
 * Equal shares are equal to a 25th then. An endpoint that goes moves 3.6 % of the slots of the others
 * besides its own; with 100 it would be 1.7 %, for four times as many elements in the kernel.
 */
const SLOTS_PER_ENDPOINT = 25;
/** Who has the least weight gets so many slots at least. */
const SLOTS_OF_LIGHTEST = 4;

/**
 * The slots of a consistent hash, as Maglev fills its lookup table (Eisenbud et al., NSDI 2016,
 * section 3.4): every endpoint goes through the slots in an order of its own, and they take turns
 * in taking the next one that is free, those of more weight more turns. The same endpoints give the
 * same slots whatever was there before, and an endpoint that goes leaves nearly all slots of the
 * others as they are, unless their number comes to ask for a table of another size.
 */
export function maglevSlots(
  endpoints: readonly string[],
  weights: readonly number[] | undefined,
): readonly string[] {
  if (endpoints.length === 0) return [];
  const heaviest = Math.max(1, ...(weights ?? []));
  const size = tableSize(endpoints.length, weights);
  const walks = endpoints
    .map((endpoint, i) => ({ ...walkOf(endpoint, size), weight: (weights?.[i] ?? 1) / heaviest }))
    .sort((a, b) => (a.endpoint < b.endpoint ? -1 : 1));
  const slots = new Array<string | undefined>(size).fill(undefined);
  let free = size;
  for (let round = 1; free > 0; round++) {
    for (const walk of walks) {
      if (free === 0) break;
      // The whole part grows by one in as many rounds as the weight says.
      if (Math.floor(round * walk.weight) === Math.floor((round - 1) * walk.weight)) continue;
      while (slots[walk.next] !== undefined) walk.next = (walk.next + walk.step) % size;
      slots[walk.next] = walk.endpoint;
      free--;
    }
  }
  return slots.flatMap((slot) => slot ?? []);
}

function tableSize(endpoints: number, weights: readonly number[] | undefined): number {
  const [, , , largest] = SIZES;
  const fewest = Math.max(
    endpoints * SLOTS_PER_ENDPOINT,
    SLOTS_OF_LIGHTEST * lightestParts(weights),
  );
  return SIZES.find((size) => size >= fewest) ?? largest;
}

/** Into how many shares as large as the smallest of all the whole can be cut. */
function lightestParts(weights: readonly number[] = []): number {
  if (weights.length === 0) return 1;
  return weights.reduce((sum, weight) => sum + weight, 0) / Math.min(...weights);
}

function walkOf(endpoint: string, size: number) {
  const digest = sha256(endpoint);
  return {
    endpoint,
    next: digest.readUInt32BE(0) % size,
    step: 1 + (digest.readUInt32BE(4) % (size - 1)),
  };
}
