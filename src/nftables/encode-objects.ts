/** Tables, chains, rules and sets as netlink payloads: struct nfgenmsg and attributes. */
import { AttributeWriter } from '../netlink/attributes.ts';
import {
  CHAIN,
  DATA_TYPE_VERDICT,
  EXPR,
  FAMILY,
  HOOK,
  LIST_ELEM,
  NFNETLINK_V0,
  RULE,
  SET,
  SET_DESC,
  SET_FIELD_LEN,
  SET_FLAG,
  TABLE,
  TABLE_FLAG,
} from './constants.ts';
import { writeStatement } from './encode-expressions.ts';
import type { Chain, Hook, NamedSet, Rule, Table, TableFamily } from './model.ts';
import { keyLength } from './registers.ts';
import type { Selector } from './selectors.ts';
import { commentUserdata, setUserdata } from './userdata.ts';

const HOOKS: Record<Hook, number> = {
  prerouting: 0,
  input: 1,
  forward: 2,
  output: 3,
  postrouting: 4,
};
/** nft packs the types of a concatenation into one number, six bits each; five fit. */
const BITS_PER_TYPE = 6;
const MOST_PACKED_TYPES = 5;

/** struct nfgenmsg: family, version, resource id in network order. */
export function familyHeader(family: TableFamily | undefined, resourceId = 0): Buffer {
  const header = Buffer.alloc(4);
  header[0] = family === undefined ? 0 : FAMILY[family];
  header[1] = NFNETLINK_V0;
  header.writeUInt16BE(resourceId, 2);
  return header;
}

/** NEWTABLE */
export function encodeTable(table: Table): Buffer {
  const writer = start(table).string(TABLE.NAME, table.name);
  if (table.isOwned === true) writer.u32be(TABLE.FLAGS, tableFlags(table));
  if (table.comment !== undefined) writer.bytes(TABLE.USERDATA, commentUserdata(table.comment));
  return writer.finish();
}

/** NEWTABLE of a table that is there: gives it the flags it is declared with. */
export function encodeTableFlags(table: Table): Buffer {
  return start(table).string(TABLE.NAME, table.name).u32be(TABLE.FLAGS, tableFlags(table)).finish();
}

/** NFTA_TABLE_FLAGS of a table as it is declared. */
export function tableFlags({ isOwned = false }: Table): number {
  return isOwned ? TABLE_FLAG.OWNER : 0;
}

/** DELTABLE, GETTABLE */
export function encodeTableName(table: Table): Buffer {
  return start(table).string(TABLE.NAME, table.name).finish();
}

/** NEWCHAIN, without the chain's rules */
export function encodeChain(table: Table, { name, base, comment }: Chain): Buffer {
  const writer = start(table).string(CHAIN.TABLE, table.name).string(CHAIN.NAME, name);
  if (base !== undefined) {
    writer
      .nested(CHAIN.HOOK, (hook) =>
        hook.u32be(HOOK.NUMBER, HOOKS[base.hook]).u32be(HOOK.PRIORITY, base.priority),
      )
      .string(CHAIN.TYPE, base.type);
    if (base.policy !== undefined) writer.u32be(CHAIN.POLICY, base.policy === 'accept' ? 1 : 0);
  }
  if (comment !== undefined) writer.bytes(CHAIN.USERDATA, commentUserdata(comment));
  return writer.finish();
}

/** DELCHAIN, GETCHAIN */
export function encodeChainName(table: Table, chain: string): Buffer {
  return start(table).string(CHAIN.TABLE, table.name).string(CHAIN.NAME, chain).finish();
}

/** NEWRULE */
export function encodeRule(table: Table, chain: string, rule: Rule, position?: bigint): Buffer {
  const writer = start(table).string(RULE.TABLE, table.name).string(RULE.CHAIN, chain);
  writer.nested(RULE.EXPRESSIONS, (list) => {
    for (const statement of rule.statements) writeStatement(list, table.family, statement);
  });
  if (position !== undefined) writer.u64be(RULE.POSITION, position);
  if (rule.comment !== undefined) writer.bytes(RULE.USERDATA, commentUserdata(rule.comment));
  return writer.finish();
}

/** DELRULE for one rule */
export function encodeRuleHandle(table: Table, chain: string, handle: bigint): Buffer {
  const writer = start(table).string(RULE.TABLE, table.name).string(RULE.CHAIN, chain);
  return writer.u64be(RULE.HANDLE, handle).finish();
}

/** DELRULE and GETRULE for all rules of a chain, or of the table */
export function encodeRulesOf(table: Table, chain?: string): Buffer {
  const writer = start(table).string(RULE.TABLE, table.name);
  if (chain !== undefined) writer.string(RULE.CHAIN, chain);
  return writer.finish();
}

/** NEWSET; `id` is any number that no other set of the batch has. */
export function encodeSet(table: Table, set: NamedSet, id: number): Buffer {
  const { key, data, size, timeoutMs } = set;
  checkInterval(set);
  const writer = start(table)
    .string(SET.TABLE, table.name)
    .string(SET.NAME, set.name)
    .u32be(SET.FLAGS, setFlags(set))
    .u32be(SET.KEY_TYPE, packedType(key))
    .u32be(SET.KEY_LEN, keyLength(key));
  if (data === 'verdict') {
    writer.u32be(SET.DATA_TYPE, DATA_TYPE_VERDICT).u32be(SET.DATA_LEN, 0);
  } else if (data !== undefined) {
    writer.u32be(SET.DATA_TYPE, packedType(data)).u32be(SET.DATA_LEN, keyLength(data));
  }
  writer.u32be(SET.ID, id);
  if (size !== undefined || isRangeConcatenation(set)) {
    writer.nested(SET.DESC, (desc) => writeDescription(desc, set));
  }
  if (timeoutMs !== undefined) writer.u64be(SET.TIMEOUT, BigInt(timeoutMs));
  writer.bytes(SET.USERDATA, setUserdata(set));
  if (set.hasCounters) {
    writer.nested(SET.EXPR, (w) => w.string(EXPR.NAME, 'counter').nested(EXPR.DATA, () => {}));
  }
  return writer.finish();
}

/** DELSET, GETSET, and GETSETELEM, DELSETELEM for all elements (same attribute numbers) */
export function encodeSetName(table: Table, set: string): Buffer {
  return start(table).string(SET.TABLE, table.name).string(SET.NAME, set).finish();
}

/** NFTA_SET_FLAGS of a set as it is declared. */
export function setFlags(set: NamedSet): number {
  let flags = 0;
  if (set.data !== undefined) flags |= SET_FLAG.MAP;
  if (set.isInterval) flags |= SET_FLAG.INTERVAL;
  if (isRangeConcatenation(set)) flags |= SET_FLAG.CONCAT;
  if (set.isDynamic) flags |= SET_FLAG.EVAL;
  if (set.hasTimeout || set.timeoutMs !== undefined) flags |= SET_FLAG.TIMEOUT;
  return flags;
}

/** nft's number for the type of a key or of data. */
export function packedType(selectors: readonly Selector[]): number {
  if (selectors.length > MOST_PACKED_TYPES) return 0;
  let packed = 0;
  for (const { datatype } of selectors) packed = (packed << BITS_PER_TYPE) | datatype;
  return packed >>> 0;
}

function start(table: Table): AttributeWriter {
  return new AttributeWriter().raw(familyHeader(table.family));
}

function isRangeConcatenation(set: NamedSet): boolean {
  return set.isInterval === true && set.key.length > 1;
}

function writeDescription(desc: AttributeWriter, set: NamedSet): void {
  if (set.size !== undefined) desc.u32be(SET_DESC.SIZE, set.size);
  if (!isRangeConcatenation(set)) return;
  desc.nested(SET_DESC.CONCAT, (fields) => {
    for (const { length } of set.key) {
      fields.nested(LIST_ELEM, (field) => field.u32be(SET_FIELD_LEN, length));
    }
  });
}

/** Ranges are compared byte by byte, so numbers in host order would be sorted wrongly. */
function checkInterval(set: NamedSet): void {
  const wrong = set.isInterval ? set.key.find((selector) => selector.isHostOrder) : undefined;
  if (wrong !== undefined) {
    throw new RangeError(`set ${set.name}: ranges of ${wrong.text} are not possible`);
  }
}
