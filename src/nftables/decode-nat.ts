/**
 * Rules of others' tables, as far as it takes to tell whose source they rewrite and whom they drop: which
 * packets they are for, as far as that is a matter of addresses, marks, links and the first packet of
 * a connection, and what they do.
 */

import { cidrOf } from '../net/cidr.ts';
import { ipFromBytes } from '../net/ip.ts';
import { eachAttribute, readAttributes, readString } from '../netlink/attributes.ts';
import { DATA, EXPR, RULE, VERDICT, XT_MATCH } from './constants.ts';
import { decodeRuleChain } from './decode.ts';
import { stateCondition, statusCondition } from './decode-ct.ts';
import { actionOfTarget, conditionsOfMatch, extensionName } from './decode-xtables.ts';
import type { NatAction, NatCondition, NatRule } from './nat-rule.ts';

/** struct nfgenmsg in front of the attributes. */
const FAMILY_HEADER_BYTES = 4;
const NFT_NAT_SNAT = 0;
const CMP_EQUAL = 0;
const CMP_DIFFERENT = 1;
const NETWORK_HEADER = 1;
const VERDICT_REGISTER = 0;
/** NFTA_CT_DREG, NFTA_CT_KEY */
const [CT_DREG, CT_KEY] = [1, 2];
/** NFTA_LOOKUP_DREG */
const LOOKUP_DREG = 3;
/** NFT_CT_STATE, NFT_CT_STATUS */
const CT_KEYS = { state: 0, status: 2 } as const;
const META = { mark: 3, iifname: 6, oifname: 7, nfproto: 15, l4proto: 16 } as const;
const VERDICTS = { drop: 0, accept: 1, return: -5, goto: -4, jump: -3 } as const;

/** What is in a register. */
interface Loaded {
  readonly field:
    | 'source'
    | 'destination'
    | 'mark'
    | 'input'
    | 'output'
    | 'state'
    | 'status'
    | 'family'
    | 'part'
    | 'unknown';
  readonly family?: 4 | 6;
  readonly mask?: Buffer;
}

interface Draft {
  readonly registers: Map<number, Loaded>;
  readonly conditions: NatCondition[];
  action: NatAction;
  isOfIptables: boolean;
}

/** NEWRULE */
export function decodeNatRule(payload: Buffer): NatRule {
  const attributes = readAttributes(payload, FAMILY_HEADER_BYTES);
  const draft: Draft = {
    registers: new Map(),
    conditions: [],
    action: { kind: 'none' },
    isOfIptables: false,
  };
  for (const { value } of eachAttribute(attributes.get(RULE.EXPRESSIONS) ?? Buffer.alloc(0))) {
    const expression = readAttributes(value);
    const name = expression.get(EXPR.NAME);
    const data = readAttributes(expression.get(EXPR.DATA) ?? Buffer.alloc(0));
    if (name !== undefined) readExpression(draft, readString(name), data);
  }
  const { conditions, action, isOfIptables } = draft;
  return {
    chain: decodeRuleChain(payload),
    conditions,
    action,
    isOfIptables,
    handle: attributes.get(RULE.HANDLE)?.readBigUInt64BE(0) ?? 0n,
  };
}

type Attributes = ReadonlyMap<number, Buffer>;

const number = (attributes: Attributes, type: number) => attributes.get(type)?.readUInt32BE(0) ?? 0;

function readExpression(draft: Draft, name: string, data: Attributes): void {
  switch (name) {
    case 'payload':
      draft.registers.set(number(data, 1), loadedPayload(data));
      return;
    case 'meta':
      if (data.has(1)) draft.registers.set(number(data, 1), loadedMeta(number(data, 2)));
      return;
    case 'bitwise':
      readBitwise(draft, data);
      return;
    case 'cmp':
      draft.conditions.push(readComparison(draft, data));
      return;
    case 'immediate':
      readImmediate(draft, data);
      return;
    case 'masq':
      draft.action = { kind: 'masquerade' };
      return;
    case 'nat':
      draft.action = { kind: number(data, 1) === NFT_NAT_SNAT ? 'masquerade' : 'accept' };
      return;
    case 'reject':
      draft.action = { kind: 'drop' };
      return;
    case 'ct':
      if (data.has(CT_DREG)) draft.registers.set(number(data, CT_DREG), loadedConntrack(data));
      return;
    case 'target':
      draft.isOfIptables = true;
      draft.action = actionOfTarget(extensionName(data));
      return;
    case 'match':
      draft.isOfIptables = true;
      draft.conditions.push(...conditionsOfMatch(extensionName(data), data.get(XT_MATCH.CONTENT)));
      return;
    case 'lookup':
      draft.conditions.push({ kind: 'unknown' });
      // A map of verdicts: it may accept.
      if (number(data, LOOKUP_DREG) === VERDICT_REGISTER && data.has(LOOKUP_DREG)) {
        draft.action = { kind: 'accept' };
      }
      return;
    case 'counter':
    case 'log':
      return;
    default:
      draft.conditions.push({ kind: 'unknown' });
  }
}

function loadedPayload(data: Attributes): Loaded {
  const [base, offset, length] = [number(data, 2), number(data, 3), number(data, 4)];
  if (base !== NETWORK_HEADER) return { field: 'part' };
  if (length <= 4 && offset === 12) return { field: 'source', family: 4 };
  if (length <= 4 && offset === 16) return { field: 'destination', family: 4 };
  if (offset === 8) return { field: 'source', family: 6 };
  if (offset === 24) return { field: 'destination', family: 6 };
  return { field: 'part' };
}

function loadedConntrack(data: Attributes): Loaded {
  const key = number(data, CT_KEY);
  if (key === CT_KEYS.status) return { field: 'status' };
  return { field: key === CT_KEYS.state ? 'state' : 'unknown' };
}

function loadedMeta(key: number): Loaded {
  switch (key) {
    case META.mark:
      return { field: 'mark' };
    case META.iifname:
      return { field: 'input' };
    case META.oifname:
      return { field: 'output' };
    case META.nfproto:
      return { field: 'family' };
    case META.l4proto:
      return { field: 'part' };
    default:
      return { field: 'unknown' };
  }
}

function readBitwise({ registers }: Draft, data: Attributes): void {
  const [source, target] = [number(data, 1), number(data, 2)];
  const loaded = registers.get(source) ?? { field: 'unknown' };
  const mask = bytesOf(data.get(4));
  const isMask = bytesOf(data.get(5)).every((byte) => byte === 0);
  registers.set(target, isMask ? { ...loaded, mask } : { field: 'unknown' });
}

function readComparison({ registers }: Draft, data: Attributes): NatCondition {
  const loaded = registers.get(number(data, 1)) ?? { field: 'unknown' };
  const operator = number(data, 2);
  const value = bytesOf(data.get(3));
  if (loaded.field === 'part') return { kind: 'part' };
  if (operator !== CMP_EQUAL && operator !== CMP_DIFFERENT) return { kind: 'unknown' };
  const isNegated = operator === CMP_DIFFERENT;
  switch (loaded.field) {
    case 'source':
    case 'destination':
      return addressCondition({ ...loaded, kind: loaded.field }, value, isNegated);
    case 'mark': {
      const mask = loaded.mask?.readUInt32LE(0) ?? 0xffff_ffff;
      return { kind: 'mark', mask, value: value.readUInt32LE(0), isNegated };
    }
    case 'input':
    case 'output': {
      const [name = ''] = value.toString('utf8').split('\0');
      return { kind: loaded.field, name: value.includes(0) ? name : `${name}+`, isNegated };
    }
    case 'state':
      return stateCondition(loaded.mask, value, isNegated);
    case 'status':
      return statusCondition(loaded.mask, value, isNegated);
    case 'family':
      return { kind: 'family', family: value[0] === 2 ? 4 : 6, isNegated };
    case 'unknown':
      return { kind: 'unknown' };
  }
}

/** The first bytes of an address, or all of them behind a netmask. */
function addressCondition(
  { kind, family = 4, mask }: Pick<Loaded, 'family' | 'mask'> & { kind: 'source' | 'destination' },
  value: Buffer,
  isNegated: boolean,
): NatCondition {
  const bytes = Buffer.alloc(family === 4 ? 4 : 16);
  if (value.length > bytes.length) return { kind: 'unknown' };
  value.copy(bytes);
  const length = mask === undefined ? value.length * 8 : prefixOf(mask);
  if (length === undefined) return { kind: 'unknown' };
  return { kind, network: cidrOf(ipFromBytes(bytes), length), isNegated };
}

/** Undefined for a mask with gaps. */
function prefixOf(mask: Buffer): number | undefined {
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits) ? bits.replaceAll('0', '').length : undefined;
}

function readImmediate(draft: Draft, data: Attributes): void {
  if (number(data, 1) !== VERDICT_REGISTER) return;
  const verdict = readAttributes(
    readAttributes(data.get(2) ?? Buffer.alloc(0)).get(DATA.VERDICT) ?? Buffer.alloc(0),
  );
  const code = verdict.get(VERDICT.CODE)?.readInt32BE(0);
  const chain = verdict.get(VERDICT.CHAIN);
  if (chain !== undefined) {
    const kind = code === VERDICTS.goto ? 'goto' : 'jump';
    draft.action = { kind, chain: readString(chain) };
  } else if (code === VERDICTS.return) {
    draft.action = { kind: 'return' };
  } else if (code === VERDICTS.accept || code === VERDICTS.drop) {
    draft.action = { kind: code === VERDICTS.accept ? 'accept' : 'drop' };
  }
}

function bytesOf(data: Buffer | undefined): Buffer {
  return (data && readAttributes(data).get(DATA.VALUE)) ?? Buffer.alloc(0);
}
