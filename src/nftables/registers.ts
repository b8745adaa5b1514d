import type { Selector } from './selectors.ts';

/** The kernel has sixteen registers of four bytes (NFT_REG32_00 to NFT_REG32_15). */
const SLOTS = 16;

/** Four-byte register slots that a field of `length` bytes takes. */
export function slotsOf(length: number): number {
  return Math.ceil(length / 4);
}

/**
 * The number of the register at a slot, as nft writes it: NFT_REG_1 to NFT_REG_4 name the slots
 * 0, 4, 8 and 12, NFT_REG32_nn all others. The kernel takes both and reports this form.
 */
export function registerAt(slot: number): number {
  if (slot < 0 || slot >= SLOTS) throw new RangeError(`register slot ${slot}: there are ${SLOTS}`);
  return slot % 4 === 0 ? 1 + slot / 4 : 8 + slot;
}

/** First slot of every field when the fields are loaded side by side, beginning at `first`. */
export function slotsFor(selectors: readonly Selector[], first = 0): readonly number[] {
  let next = first;
  return selectors.map((selector) => {
    const slot = next;
    next += slotsOf(selector.length);
    if (next > SLOTS) {
      throw new RangeError(
        `${selectors.map((s) => s.text).join(' . ')}: longer than the registers`,
      );
    }
    return slot;
  });
}

/** Bytes the fields take together, each padded to four; one field alone is not padded. */
export function keyLength(selectors: readonly Selector[]): number {
  const [only] = selectors;
  if (only !== undefined && selectors.length === 1) return only.length;
  return paddedLength(selectors);
}

/** Bytes the fields take together in registers and in element strings. */
export function paddedLength(selectors: readonly Selector[]): number {
  return selectors.reduce((sum, selector) => sum + 4 * slotsOf(selector.length), 0);
}
