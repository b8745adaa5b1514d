/**
 * Statements to expressions: the small programs that the kernel runs per packet. Registers are
 * used as nft uses them, so that `nft list` can print every rule back.
 */

import { ipFamily } from '../net/ip.ts';
import type { AttributeWriter } from '../netlink/attributes.ts';
import { ipBytes, portBytes, u32Bytes } from './bytes.ts';
import { DATA, FAMILY, LIST_ELEM, VERDICT, XT_MATCH } from './constants.ts';
import { writeLimit } from './encode-limit.ts';
import { writeBitwise, writeExpression, writeLoad, writeLoads } from './encode-loads.ts';
import {
  NFT_NAT_DNAT,
  VERDICT_REGISTER,
  writeDynset,
  writeLookup,
  writeNat,
  writeRegisterStatement,
} from './encode-registers.ts';
import type { TableFamily } from './model.ts';
import { registerAt, slotsOf } from './registers.ts';
import { ct, meta, type Selector } from './selectors.ts';
import type { Comparison, Ordering, RejectReason, Statement } from './statements.ts';
import { parseVerdict } from './verdicts.ts';

const NF_NAT_RANGE_PROTO_SPECIFIED = 0x2;
const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 0x10;
const META_NFTRACE = 12;
/** enum nft_cmp_ops */
const CMP_OPERATORS: Record<Comparison | Ordering, number> = {
  ...{ '==': 0, '!=': 1, '<': 2, '<=': 3, '>': 4, '>=': 5 },
};
const REJECT_TCP_RESET = { type: 1, code: 0 };
/** Types ICMP (0) in one family, the family-independent ICMPX (2) elsewhere. */
const REJECT_CODES = {
  port: { ip: { type: 0, code: 3 }, ip6: { type: 0, code: 4 }, any: { type: 2, code: 1 } },
  'admin-prohibited': {
    ip: { type: 0, code: 13 },
    ip6: { type: 0, code: 1 },
    any: { type: 2, code: 3 },
  },
} as const;

/** Appends the expressions of one statement to an NFTA_RULE_EXPRESSIONS list. */
export function writeStatement(
  writer: AttributeWriter,
  family: TableFamily,
  statement: Statement,
): AttributeWriter {
  switch (statement.kind) {
    case 'match':
      writeLoad(writer, statement.selector, 0, statement.value.length);
      return writeCompare(writer, statement.comparison, statement.value);
    case 'matchMasked':
      writeLoad(writer, statement.selector, 0);
      writeBitwise(writer, 0, { mask: statement.mask });
      return writeCompare(writer, statement.comparison, statement.value);
    case 'lookup':
      writeLoads(writer, statement.selectors);
      return writeLookup(writer, statement.set, { isNegated: statement.isNegated });
    case 'verdictMap':
      writeLoads(writer, statement.selectors);
      return writeLookup(writer, statement.map, { dataRegister: VERDICT_REGISTER });
    case 'dnatToMap':
      return writeDnatToMap(writer, statement);
    case 'dnat':
      return writeDnat(writer, statement);
    case 'masquerade':
      return writeMasquerade(writer, statement);
    case 'notrack':
      return writeExpression(writer, 'notrack', () => {});
    case 'reject':
      return writeReject(writer, family, statement.reason);
    case 'log':
      return writeLog(writer, statement);
    case 'counter':
      return writeExpression(writer, 'counter', (w) => w.u64be(1, 0n).u64be(2, 0n));
    case 'setMark':
      return writeSetMark(writer, statement, meta.mark);
    case 'setConnectionMark':
      return writeSetMark(writer, statement, ct.mark);
    case 'trace':
      return writeTrace(writer);
    case 'verdict':
      return writeExpression(writer, 'immediate', (w) =>
        w.u32be(1, VERDICT_REGISTER).nested(2, (data) => writeVerdict(data, statement.verdict)),
      );
    case 'updateSet':
      return writeUpdateSet(writer, statement);
    case 'xtMatch':
      return writeXtMatch(writer, statement);
    case 'limit':
      return writer.nested(LIST_ELEM, (w) => writeLimit(w, statement.limit, statement.isOver));
    default:
      return writeRegisterStatement(writer, statement);
  }
}

/** NFTA_DATA_VERDICT with its code and chain; also what verdict map elements carry. */
export function writeVerdict(writer: AttributeWriter, text: string): AttributeWriter {
  const { code, chain } = parseVerdict(text);
  return writer.nested(DATA.VERDICT, (w) => {
    w.u32be(VERDICT.CODE, code);
    if (chain !== undefined) w.string(VERDICT.CHAIN, chain);
  });
}

function writeCompare(
  writer: AttributeWriter,
  comparison: Comparison | Ordering,
  value: string,
): AttributeWriter {
  return writeExpression(writer, 'cmp', (w) =>
    w
      .u32be(1, registerAt(0))
      .u32be(2, CMP_OPERATORS[comparison])
      .nested(3, (data) => data.latin1(DATA.VALUE, value)),
  );
}

function writeImmediate(writer: AttributeWriter, slot: number, value: string): AttributeWriter {
  return writeExpression(writer, 'immediate', (w) =>
    w.u32be(1, registerAt(slot)).nested(2, (data) => data.latin1(DATA.VALUE, value)),
  );
}

/** The map's value overwrites the key in the registers: address first, port in the slot behind. */
function writeDnatToMap(
  writer: AttributeWriter,
  { family, selectors, map }: Extract<Statement, { kind: 'dnatToMap' }>,
): AttributeWriter {
  writeLoads(writer, selectors);
  writeLookup(writer, map, { dataRegister: registerAt(0) });
  return writeNat(writer, { family, addressSlot: 0, portSlot: family === 'ip' ? 1 : 4 });
}

function writeDnat(
  writer: AttributeWriter,
  { address, port }: Extract<Statement, { kind: 'dnat' }>,
): AttributeWriter {
  const portSlot = 4;
  writeImmediate(writer, 0, ipBytes(address));
  if (port !== undefined) writeImmediate(writer, portSlot, portBytes(port).slice(0, 2));
  return writeExpression(writer, 'nat', (w) => {
    w.u32be(1, NFT_NAT_DNAT)
      .u32be(2, ipFamily(address) === 4 ? FAMILY.ip : FAMILY.ip6)
      .u32be(3, registerAt(0));
    if (port !== undefined) w.u32be(5, registerAt(portSlot)).u32be(7, NF_NAT_RANGE_PROTO_SPECIFIED);
  });
}

/** Attributes of enum nft_masq_attributes: flags, and registers with the first and the last port. */
function writeMasquerade(
  writer: AttributeWriter,
  { isFullyRandom, ports }: Extract<Statement, { kind: 'masquerade' }>,
): AttributeWriter {
  const lastSlot = 4;
  if (ports !== undefined) {
    writeImmediate(writer, 0, portBytes(ports.first).slice(0, 2));
    writeImmediate(writer, lastSlot, portBytes(ports.last).slice(0, 2));
  }
  return writeExpression(writer, 'masq', (w) => {
    const flags =
      (isFullyRandom ? NF_NAT_RANGE_PROTO_RANDOM_FULLY : 0) |
      (ports === undefined ? 0 : NF_NAT_RANGE_PROTO_SPECIFIED);
    if (flags !== 0) w.u32be(1, flags);
    if (ports !== undefined) w.u32be(2, registerAt(0)).u32be(3, registerAt(lastSlot));
  });
}

function writeReject(
  writer: AttributeWriter,
  family: TableFamily,
  reason: RejectReason,
): AttributeWriter {
  const kind = family === 'ip' || family === 'ip6' ? family : 'any';
  const { type, code } = reason === 'tcp-reset' ? REJECT_TCP_RESET : REJECT_CODES[reason][kind];
  return writeExpression(writer, 'reject', (w) => w.u32be(1, type).u8(2, code));
}

/** enum nft_log_attributes */
function writeLog(
  writer: AttributeWriter,
  { group, prefix, snapLength }: Extract<Statement, { kind: 'log' }>,
): AttributeWriter {
  return writeExpression(writer, 'log', (w) =>
    w.u16be(1, group).string(2, prefix).u32be(3, snapLength),
  );
}

/** Expressions `meta` and `ct` have their source register under other numbers. */
function writeSetMark(
  writer: AttributeWriter,
  { mask, xor }: { readonly mask: number; readonly xor: number },
  selector: Selector & { readonly kind: 'meta' | 'ct' },
): AttributeWriter {
  if (mask === 0) {
    writeImmediate(writer, 0, u32Bytes(xor));
  } else {
    writeLoad(writer, selector, 0);
    writeBitwise(writer, 0, { mask: u32Bytes(mask), xor: u32Bytes(xor) });
  }
  const source = selector.kind === 'meta' ? 3 : 4;
  return writeExpression(writer, selector.kind, (w) =>
    w.u32be(2, selector.key).u32be(source, registerAt(0)),
  );
}

function writeXtMatch(
  writer: AttributeWriter,
  { name, revision, content }: Extract<Statement, { kind: 'xtMatch' }>,
): AttributeWriter {
  return writeExpression(writer, 'match', (w) =>
    w
      .string(XT_MATCH.NAME, name)
      .u32be(XT_MATCH.REVISION, revision)
      .latin1(XT_MATCH.CONTENT, content),
  );
}

/** One byte, as `meta nftrace set 1` has it. */
function writeTrace(writer: AttributeWriter): AttributeWriter {
  writeImmediate(writer, 0, '\x01');
  return writeExpression(writer, 'meta', (w) => w.u32be(2, META_NFTRACE).u32be(3, registerAt(0)));
}

function writeUpdateSet(
  writer: AttributeWriter,
  { selectors, set, data, timeoutMs, over }: Extract<Statement, { kind: 'updateSet' }>,
): AttributeWriter {
  const behind = selectors.reduce((sum, selector) => sum + slotsOf(selector.length), 0);
  const dataSlot = data.length > 0 ? behind : undefined;
  writeLoads(writer, selectors);
  writeLoads(writer, data, behind);
  return writeDynset(writer, { operation: 'update', set, keySlot: 0, dataSlot, timeoutMs }, over);
}
