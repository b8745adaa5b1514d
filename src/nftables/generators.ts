/** Selectors of values that no packet has: random numbers and hashes. */
import { type HashSelector, type NumgenSelector, type Selector, TYPE } from './selectors.ts';

/** A random number from `offset` up to `offset + modulus - 1`, four bytes in host order. */
export function numgenRandom(modulus: number, offset = 0): NumgenSelector {
  return {
    kind: 'numgen',
    text: `numgen random mod ${modulus}${offsetText(offset)}`,
    length: 4,
    isHostOrder: true,
    datatype: TYPE.integer,
    modulus,
    offset,
  };
}

/**
 * Jenkins hash of other fields, four bytes in host order. As a field of a set's key describe it
 * with numgenRandom: nft 1.0.6 crashes when it lists a set whose `typeof` names a hash.
 */
export function jhash(
  selectors: readonly Selector[],
  modulus: number,
  options: { readonly seed?: number; readonly offset?: number } = {},
): HashSelector {
  const { seed, offset = 0 } = options;
  const inner = selectors.map((selector) => selector.text).join(' . ');
  const seedText = seed === undefined ? '' : ` seed 0x${seed.toString(16)}`;
  return {
    kind: 'hash',
    text: `jhash ${inner} mod ${modulus}${seedText}${offsetText(offset)}`,
    length: 4,
    isHostOrder: true,
    datatype: TYPE.integer,
    selectors,
    modulus,
    offset,
    seed,
  };
}

function offsetText(offset: number): string {
  return offset === 0 ? '' : ` offset ${offset}`;
}
