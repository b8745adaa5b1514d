/** Selectors to expressions that load their fields into registers. */
import type { AttributeWriter } from '../netlink/attributes.ts';
import { assertNever } from '../util/errors.ts';
import { DATA, EXPR, LIST_ELEM, NUMGEN_RANDOM } from './constants.ts';
import { keyLength, registerAt, slotsFor } from './registers.ts';
import type { HashSelector, Selector } from './selectors.ts';

const FIB_RESULT_ADDRTYPE = 3;
const PAYLOAD_BASES = { link: 0, network: 1, transport: 2 } as const;

/** Appends one expression to a list: its name and its attributes. */
export function writeExpression(
  writer: AttributeWriter,
  name: string,
  write: (writer: AttributeWriter) => void,
): AttributeWriter {
  return writer.nested(LIST_ELEM, (w) => w.string(EXPR.NAME, name).nested(EXPR.DATA, write));
}

/** Loads fields side by side into the registers from slot `first` on. */
export function writeLoads(
  writer: AttributeWriter,
  selectors: readonly Selector[],
  first = 0,
): AttributeWriter {
  const slots = slotsFor(selectors, first);
  selectors.forEach((selector, i) => {
    writeLoad(writer, selector, slots[i] ?? first);
  });
  return writer;
}

/** Loads a field into the registers from `slot` on; `length` cuts payload fields short. */
export function writeLoad(
  writer: AttributeWriter,
  selector: Selector,
  slot: number,
  length = selector.length,
): AttributeWriter {
  const register = registerAt(slot);
  switch (selector.kind) {
    case 'payload':
      return writeExpression(writer, 'payload', (w) =>
        w
          .u32be(1, register)
          .u32be(2, PAYLOAD_BASES[selector.base])
          .u32be(3, selector.offset)
          .u32be(4, length),
      );
    case 'meta':
      return writeExpression(writer, 'meta', (w) => w.u32be(2, selector.key).u32be(1, register));
    case 'ct':
      return writeExpression(writer, 'ct', (w) => {
        w.u32be(2, selector.key).u32be(1, register);
        if (selector.tuple !== undefined) w.u8(3, selector.tuple === 'original' ? 0 : 1);
      });
    case 'fib':
      return writeExpression(writer, 'fib', (w) =>
        w.u32be(3, selector.flags).u32be(2, FIB_RESULT_ADDRTYPE).u32be(1, register),
      );
    case 'numgen':
      return writeExpression(writer, 'numgen', (w) =>
        w
          .u32be(1, register)
          .u32be(2, selector.modulus)
          .u32be(3, NUMGEN_RANDOM)
          .u32be(4, selector.offset),
      );
    case 'hash':
      return writeHash(writer, selector, slot);
    default:
      return assertNever(selector, 'selector');
  }
}

/** `register = (register & mask) ^ xor`, in place; without `xor` only the bits of the mask stay. */
export function writeBitwise(
  writer: AttributeWriter,
  slot: number,
  { mask, xor = '\0'.repeat(mask.length) }: { readonly mask: string; readonly xor?: string },
): AttributeWriter {
  return writeExpression(writer, 'bitwise', (w) =>
    w
      .u32be(1, registerAt(slot))
      .u32be(2, registerAt(slot))
      .u32be(3, mask.length)
      .u32be(6, 0)
      .nested(4, (data) => data.latin1(DATA.VALUE, mask))
      .nested(5, (data) => data.latin1(DATA.VALUE, xor)),
  );
}

/** The hashed fields go behind the result; whatever is loaded there later overwrites them. */
function writeHash(writer: AttributeWriter, hash: HashSelector, slot: number): AttributeWriter {
  writeLoads(writer, hash.selectors, slot + 1);
  const length = keyLength(hash.selectors);
  return writeHashOf(writer, { ...hash, keySlot: slot + 1, length, slot });
}

/** Hashes `length` bytes of the registers from `keySlot` on. */
export function writeHashOf(
  writer: AttributeWriter,
  hash: {
    readonly keySlot: number;
    readonly length: number;
    readonly slot: number;
    readonly modulus: number;
    readonly seed: number | undefined;
    readonly offset?: number;
  },
): AttributeWriter {
  return writeExpression(writer, 'hash', (w) => {
    w.u32be(1, registerAt(hash.keySlot))
      .u32be(2, registerAt(hash.slot))
      .u32be(3, hash.length)
      .u32be(4, hash.modulus);
    if (hash.seed !== undefined) w.u32be(5, hash.seed);
    w.u32be(6, hash.offset ?? 0).u32be(7, 0);
  });
}
