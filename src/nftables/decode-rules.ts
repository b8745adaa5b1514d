/** Rules as the kernel lists them, as far as it takes to find one again. */
import { eachAttribute, readAttributes, readString } from '../netlink/attributes.ts';
import { COUNTER, DATA, EXPR, RULE, VERDICT, XT_MATCH } from './constants.ts';
import { readComment } from './userdata.ts';

/** struct nfgenmsg in front of the attributes. */
const FAMILY_HEADER_BYTES = 4;
/** Of the expression `immediate`. */
const IMMEDIATE_DATA = 2;

export interface ObservedRule {
  readonly handle: bigint;
  /** That of nft, or what iptables writes for `-m comment`. */
  readonly comment?: string;
  /** Where it jumps to or goes on. */
  readonly target?: string;
  /** It drops or rejects: every packet, or those that it matches. */
  readonly refuses?: 'all' | 'some';
  /** What its counter has seen, where it has one. */
  readonly counter?: { readonly packets: bigint; readonly bytes: bigint };
}

type Found = Pick<ObservedRule, 'comment' | 'target' | 'counter'> & {
  readonly isRefusal?: boolean;
  /** It says which packets it is for. */
  readonly isConditional?: boolean;
};

/** Expressions that say nothing about which packets a rule is for. */
const UNCONDITIONAL: readonly string[] = ['counter', 'immediate', 'reject', 'target', 'log'];
/** NF_DROP */
const DROP_CODE = 0;

/** NEWRULE */
export function decodeRule(payload: Buffer): ObservedRule {
  const attributes = readAttributes(payload, FAMILY_HEADER_BYTES);
  const found = readExpressions(attributes.get(RULE.EXPRESSIONS));
  const comment = readComment(attributes.get(RULE.USERDATA)) ?? found.comment;
  const { target, isRefusal, isConditional, counter } = found;
  return {
    handle: attributes.get(RULE.HANDLE)?.readBigUInt64BE(0) ?? 0n,
    ...(comment === undefined ? {} : { comment }),
    ...(target === undefined ? {} : { target }),
    ...(isRefusal === true ? { refuses: isConditional === true ? 'some' : 'all' } : {}),
    ...(counter === undefined ? {} : { counter }),
  };
}

function readExpressions(list: Buffer | undefined): Found {
  let found: Found = {};
  for (const { value } of eachAttribute(list ?? Buffer.alloc(0))) {
    const expression = readAttributes(value);
    const data = expression.get(EXPR.DATA);
    if (data === undefined) continue;
    found = { ...found, ...readExpression(text(expression.get(EXPR.NAME)), readAttributes(data)) };
  }
  return found;
}

function readExpression(name: string, attributes: ReadonlyMap<number, Buffer>): Found {
  // The target of xtables has the same attributes as a match.
  const extension = text(attributes.get(XT_MATCH.NAME));
  if (name === 'match' && extension === 'comment') {
    return { comment: untilNul(attributes.get(XT_MATCH.CONTENT)) };
  }
  if (!UNCONDITIONAL.includes(name)) return { isConditional: true };
  if (name === 'reject' || (name === 'target' && extension === 'REJECT')) {
    return { isRefusal: true };
  }
  if (name === 'counter') return { counter: readCounter(attributes) };
  return name === 'immediate' ? readImmediate(attributes) : {};
}

function readCounter(attributes: ReadonlyMap<number, Buffer>) {
  const read = (type: number) => attributes.get(type)?.readBigUInt64BE(0) ?? 0n;
  return { packets: read(COUNTER.PACKETS), bytes: read(COUNTER.BYTES) };
}

function readImmediate(attributes: ReadonlyMap<number, Buffer>): Found {
  const data = attributes.get(IMMEDIATE_DATA);
  const value = data && readAttributes(data).get(DATA.VERDICT);
  const verdict = value && readAttributes(value);
  const chain = verdict?.get(VERDICT.CHAIN);
  if (chain !== undefined) return { target: readString(chain) };
  return verdict?.get(VERDICT.CODE)?.readInt32BE(0) === DROP_CODE ? { isRefusal: true } : {};
}

function text(value: Buffer | undefined): string {
  return value === undefined ? '' : readString(value);
}

/** The field is longer than the text in it. */
function untilNul(value: Buffer | undefined): string {
  return value?.toString('utf8').split('\0')[0] ?? '';
}
