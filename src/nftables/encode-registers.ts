/** Statements that name registers, and what they share with those that do not. */
import type { AttributeWriter } from '../netlink/attributes.ts';
import { assertNever } from '../util/errors.ts';
import { DYNSET_EXPRESSION, FAMILY } from './constants.ts';
import { type Limit, writeLimit } from './encode-limit.ts';
import {
  writeBitwise,
  writeExpression,
  writeHashOf,
  writeLoad,
  writeLoads,
} from './encode-loads.ts';
import type { RegisterStatement } from './register-statements.ts';
import { registerAt } from './registers.ts';

/** enum nft_nat_types */
export const NFT_NAT_DNAT = 1;
export const VERDICT_REGISTER = 0;
/** enum nft_dynset_ops */
const DYNSET_OPERATIONS = { update: 1, delete: 2 } as const;

/** Appends the expressions of one statement to a list. */
export function writeRegisterStatement(
  writer: AttributeWriter,
  statement: RegisterStatement,
): AttributeWriter {
  switch (statement.kind) {
    case 'loadRegisters':
      return writeLoads(writer, statement.selectors, statement.slot);
    case 'loadMasked': {
      const { selector, slot, mask } = statement;
      return writeBitwise(writeLoad(writer, selector, slot), slot, { mask });
    }
    case 'hashRegisters':
      return writeHashOf(writer, statement);
    case 'lookupRegisters': {
      const { set, keySlot, dataSlot } = statement;
      if (dataSlot === undefined) return writeLookup(writer, set, { keySlot });
      return writeLookup(writer, set, { keySlot, dataRegister: registerAt(dataSlot) });
    }
    case 'verdictRegisters': {
      const { map, keySlot } = statement;
      return writeLookup(writer, map, { keySlot, dataRegister: VERDICT_REGISTER });
    }
    case 'updateRegisters':
      return writeDynset(writer, statement);
    case 'dnatRegisters':
      return writeNat(writer, statement);
    default:
      return assertNever(statement, 'statement');
  }
}

export function writeLookup(
  writer: AttributeWriter,
  set: string,
  options: {
    readonly keySlot?: number;
    /** Not a slot: the verdict register is none. */
    readonly dataRegister?: number;
    readonly isNegated?: boolean;
  },
): AttributeWriter {
  return writeExpression(writer, 'lookup', (w) => {
    w.string(1, set).u32be(2, registerAt(options.keySlot ?? 0));
    if (options.dataRegister !== undefined) w.u32be(3, options.dataRegister);
    if (options.isNegated) w.u32be(5, 1);
  });
}

export function writeNat(
  writer: AttributeWriter,
  slots: { readonly family: 'ip' | 'ip6'; readonly addressSlot: number; readonly portSlot: number },
): AttributeWriter {
  return writeExpression(writer, 'nat', (w) =>
    w
      .u32be(1, NFT_NAT_DNAT)
      .u32be(2, FAMILY[slots.family])
      .u32be(3, registerAt(slots.addressSlot))
      .u32be(5, registerAt(slots.portSlot)),
  );
}

export function writeDynset(
  writer: AttributeWriter,
  statement: Omit<Extract<RegisterStatement, { kind: 'updateRegisters' }>, 'kind'>,
  over?: Limit,
): AttributeWriter {
  const { operation, set, keySlot, dataSlot, timeoutMs } = statement;
  return writeExpression(writer, 'dynset', (w) => {
    w.string(1, set).u32be(3, DYNSET_OPERATIONS[operation]).u32be(4, registerAt(keySlot));
    if (dataSlot !== undefined) w.u32be(5, registerAt(dataSlot));
    if (timeoutMs !== undefined) w.u64be(6, BigInt(timeoutMs));
    if (over !== undefined) w.nested(DYNSET_EXPRESSION, (e) => writeLimit(e, over, true));
  });
}
