/**
 * Statements that say which registers they use, for rules in which one lookup's result is part of
 * the next one's key. A slot is a register of four bytes, 0 to 15; a field begins at a slot and
 * takes as many as its length needs (registers.ts).
 */
import { u32Bytes } from './bytes.ts';
import type { Selector } from './selectors.ts';

export type RegisterStatement =
  | {
      readonly kind: 'loadRegisters';
      readonly selectors: readonly Selector[];
      readonly slot: number;
    }
  | {
      readonly kind: 'loadMasked';
      readonly selector: Selector;
      readonly slot: number;
      readonly mask: string;
    }
  | {
      readonly kind: 'hashRegisters';
      readonly keySlot: number;
      /** Bytes, from `keySlot` on. */
      readonly length: number;
      readonly slot: number;
      readonly modulus: number;
      readonly seed: number;
    }
  | {
      readonly kind: 'lookupRegisters';
      readonly set: string;
      readonly keySlot: number;
      /** Where the value goes; undefined for sets. */
      readonly dataSlot: number | undefined;
    }
  | {
      readonly kind: 'verdictRegisters';
      readonly map: string;
      readonly keySlot: number;
    }
  | {
      readonly kind: 'updateRegisters';
      readonly operation: 'update' | 'delete';
      readonly set: string;
      readonly keySlot: number;
      readonly dataSlot: number | undefined;
      readonly timeoutMs: number | undefined;
    }
  | {
      readonly kind: 'dnatRegisters';
      readonly family: 'ip' | 'ip6';
      readonly addressSlot: number;
      readonly portSlot: number;
    };

/** Loads fields side by side, the first one at `slot`. */
export function loadRegisters(selectors: readonly Selector[], slot: number): RegisterStatement {
  return { kind: 'loadRegisters', selectors, slot };
}

/** Loads those bits of a number in host order (marks, connection state) that are in the mask. */
export function loadMasked(selector: Selector, mask: number, slot: number): RegisterStatement {
  if (selector.length !== 4 || !selector.isHostOrder) {
    throw new RangeError(`bits of ${selector.text}: not a number in host order`);
  }
  return { kind: 'loadMasked', selector, slot, mask: u32Bytes(mask) };
}

/** Loads what `jhash` gives for the bytes of other registers. */
export function hashRegisters(
  options: Omit<Extract<RegisterStatement, { kind: 'hashRegisters' }>, 'kind'>,
): RegisterStatement {
  return { kind: 'hashRegisters', ...options };
}

/**
 * Continues when the key that begins at `keySlot` is in the set or map. The value of a map goes to
 * `dataSlot`, which may be the key's own.
 */
export function lookupRegisters(
  set: string,
  slots: { readonly keySlot: number; readonly dataSlot?: number },
): RegisterStatement {
  return { kind: 'lookupRegisters', set, keySlot: slots.keySlot, dataSlot: slots.dataSlot };
}

/**
 * Does what the verdict map says for the key that begins at `keySlot`. Where it says `continue` the
 * rule goes on; where it says nothing, the next rule does.
 */
export function verdictRegisters(map: string, keySlot: number): RegisterStatement {
  return { kind: 'verdictRegisters', map, keySlot };
}

/**
 * Adds an element to a dynamic map, or renews the timeout of the one that has this key; that one
 * keeps its value. When the map is full the rule does not match.
 */
export function updateRegisters(
  set: string,
  options: { readonly keySlot: number; readonly dataSlot?: number; readonly timeoutMs?: number },
): RegisterStatement {
  const { keySlot, dataSlot, timeoutMs } = options;
  return { kind: 'updateRegisters', operation: 'update', set, keySlot, dataSlot, timeoutMs };
}

/** Removes the element with this key from a dynamic set or map, if it is there. Needs kernel 5.4. */
export function deleteRegisters(
  set: string,
  slots: { readonly keySlot: number; readonly dataSlot?: number },
): RegisterStatement {
  const { keySlot, dataSlot } = slots;
  const timeoutMs = undefined;
  return { kind: 'updateRegisters', operation: 'delete', set, keySlot, dataSlot, timeoutMs };
}

/** Rewrites the destination to the address and port in these registers. */
export function dnatRegisters(
  family: 'ip' | 'ip6',
  slots: { readonly addressSlot: number; readonly portSlot: number },
): RegisterStatement {
  return { kind: 'dnatRegisters', family, ...slots };
}
