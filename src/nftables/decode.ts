/** Tables, chains and sets as the kernel lists them. */
import { eachAttribute, readAttributes, readString } from '../netlink/attributes.ts';
import {
  CHAIN,
  DATA_TYPE_VERDICT,
  FAMILY,
  HOOK,
  NAMED,
  RULE,
  SET,
  SET_DESC,
  TABLE,
} from './constants.ts';
import type { BaseChain, Hook, Table, TableFamily } from './model.ts';
import { readComment, readSetComment } from './userdata.ts';

/** struct nfgenmsg in front of the attributes. */
const FAMILY_HEADER_BYTES = 4;

const FAMILIES = new Map<number, TableFamily>(
  // Object.entries forgets that the keys of FAMILY are the families.
  Object.entries(FAMILY).map(([name, number]) => [number, name as TableFamily]),
);
const HOOKS: readonly Hook[] = ['prerouting', 'input', 'forward', 'output', 'postrouting'];

/** A table as the kernel lists it. */
export interface ListedTable extends Table {
  /** NFTA_TABLE_FLAGS */
  readonly flags: number;
}

/** A chain as the kernel lists it, without its rules. */
export interface ObservedChain {
  readonly name: string;
  readonly base?: BaseChain;
  readonly comment?: string;
  /** Rules in it plus jumps, gotos and verdict map elements that lead to it. */
  readonly useCount: number;
}

/** A set or map as the kernel lists it, without its elements. */
export interface ObservedSet {
  readonly name: string;
  /** NFTA_SET_FLAGS */
  readonly flags: number;
  /** nft's numbers, which say what the bytes mean. */
  readonly keyType: number;
  readonly keyBytes: number;
  readonly data?: 'verdict' | { readonly type: number; readonly bytes: number };
  readonly size?: number;
  readonly timeoutMs?: number;
  readonly hasCounters: boolean;
  readonly comment?: string;
}

/** The family of any nf_tables message. */
export function decodeFamily(payload: Buffer): TableFamily | undefined {
  return FAMILIES.get(payload[0] ?? 0);
}

/** NEWTABLE; undefined for a family this library does not know. */
export function decodeTable(payload: Buffer): ListedTable | undefined {
  const attributes = readAttributes(payload, FAMILY_HEADER_BYTES);
  const family = decodeFamily(payload);
  const name = attributes.get(TABLE.NAME);
  if (family === undefined || name === undefined) return undefined;
  const comment = readComment(attributes.get(TABLE.USERDATA));
  const flags = attributes.get(TABLE.FLAGS)?.readUInt32BE(0) ?? 0;
  return { family, name: readString(name), flags, ...(comment === undefined ? {} : { comment }) };
}

/** NEWCHAIN with the name of its table. */
export function decodeChain(payload: Buffer): ObservedChain & { readonly table: string } {
  const attributes = readAttributes(payload, FAMILY_HEADER_BYTES);
  const base = decodeBase(attributes);
  const comment = readComment(attributes.get(CHAIN.USERDATA));
  return {
    table: text(attributes.get(CHAIN.TABLE)),
    name: text(attributes.get(CHAIN.NAME)),
    useCount: attributes.get(CHAIN.USE)?.readUInt32BE(0) ?? 0,
    ...(base === undefined ? {} : { base }),
    ...(comment === undefined ? {} : { comment }),
  };
}

/** NEWSET */
export function decodeSet(payload: Buffer): ObservedSet {
  const attributes = readAttributes(payload, FAMILY_HEADER_BYTES);
  const description = attributes.get(SET.DESC);
  const size = description && readAttributes(description).get(SET_DESC.SIZE)?.readUInt32BE(0);
  const timeout = attributes.get(SET.TIMEOUT)?.readBigUInt64BE(0);
  const comment = readSetComment(attributes.get(SET.USERDATA));
  const dataType = attributes.get(SET.DATA_TYPE)?.readUInt32BE(0);
  return {
    name: text(attributes.get(SET.NAME)),
    flags: attributes.get(SET.FLAGS)?.readUInt32BE(0) ?? 0,
    keyType: attributes.get(SET.KEY_TYPE)?.readUInt32BE(0) ?? 0,
    keyBytes: attributes.get(SET.KEY_LEN)?.readUInt32BE(0) ?? 0,
    hasCounters: attributes.has(SET.EXPR) || attributes.has(SET.EXPRESSIONS),
    ...(dataType === undefined ? {} : { data: decodeData(dataType, attributes) }),
    ...(size === undefined ? {} : { size }),
    ...(timeout === undefined ? {} : { timeoutMs: Number(timeout) }),
    ...(comment === undefined ? {} : { comment }),
  };
}

/** The name of a NEWOBJ or NEWFLOWTABLE. */
export function decodeName(payload: Buffer): string {
  return text(readAttributes(payload, FAMILY_HEADER_BYTES).get(NAMED.NAME));
}

/** NEWRULE: only which chain it is in. */
export function decodeRuleChain(payload: Buffer): string {
  for (const { type, value } of eachAttribute(payload, FAMILY_HEADER_BYTES)) {
    if (type === RULE.CHAIN) return readString(value);
  }
  return '';
}

function decodeBase(attributes: ReadonlyMap<number, Buffer>): BaseChain | undefined {
  const hook = attributes.get(CHAIN.HOOK);
  if (hook === undefined) return undefined;
  const place = readAttributes(hook);
  const policy = attributes.get(CHAIN.POLICY)?.readUInt32BE(0);
  return {
    type: chainType(text(attributes.get(CHAIN.TYPE))),
    hook: HOOKS[place.get(HOOK.NUMBER)?.readUInt32BE(0) ?? 0] ?? 'prerouting',
    priority: place.get(HOOK.PRIORITY)?.readInt32BE(0) ?? 0,
    policy: policy === 0 ? 'drop' : 'accept',
  };
}

function chainType(name: string): BaseChain['type'] {
  return name === 'nat' || name === 'route' ? name : 'filter';
}

function decodeData(
  type: number,
  attributes: ReadonlyMap<number, Buffer>,
): NonNullable<ObservedSet['data']> {
  if (type === DATA_TYPE_VERDICT) return 'verdict';
  return { type, bytes: attributes.get(SET.DATA_LEN)?.readUInt32BE(0) ?? 0 };
}

function text(value: Buffer | undefined): string {
  return value === undefined ? '' : readString(value);
}
