/** Rules as the kernel lists them, as far as it takes to find one again. */
import { eachAttribute, readAttributes, readString } from '../netlink/attributes.ts';
import { DATA, EXPR, RULE, VERDICT, XT_MATCH } from './constants.ts';
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
}

/** NEWRULE */
export function decodeRule(payload: Buffer): ObservedRule {
  const attributes = readAttributes(payload, FAMILY_HEADER_BYTES);
  const found = readExpressions(attributes.get(RULE.EXPRESSIONS));
  const comment = readComment(attributes.get(RULE.USERDATA)) ?? found.comment;
  return {
    handle: attributes.get(RULE.HANDLE)?.readBigUInt64BE(0) ?? 0n,
    ...(comment === undefined ? {} : { comment }),
    ...(found.target === undefined ? {} : { target: found.target }),
  };
}

function readExpressions(list: Buffer | undefined): Omit<ObservedRule, 'handle'> {
  let found: Omit<ObservedRule, 'handle'> = {};
  for (const { value } of eachAttribute(list ?? Buffer.alloc(0))) {
    const expression = readAttributes(value);
    const data = expression.get(EXPR.DATA);
    if (data === undefined) continue;
    found = { ...found, ...readExpression(text(expression.get(EXPR.NAME)), readAttributes(data)) };
  }
  return found;
}

function readExpression(
  name: string,
  attributes: ReadonlyMap<number, Buffer>,
): Omit<ObservedRule, 'handle'> {
  if (name === 'match' && text(attributes.get(XT_MATCH.NAME)) === 'comment') {
    return { comment: untilNul(attributes.get(XT_MATCH.CONTENT)) };
  }
  const data = name === 'immediate' ? attributes.get(IMMEDIATE_DATA) : undefined;
  const verdict = data && readAttributes(data).get(DATA.VERDICT);
  const chain = verdict && readAttributes(verdict).get(VERDICT.CHAIN);
  return chain === undefined ? {} : { target: readString(chain) };
}

function text(value: Buffer | undefined): string {
  return value === undefined ? '' : readString(value);
}

/** The field is longer than the text in it. */
function untilNul(value: Buffer | undefined): string {
  return value?.toString('utf8').split('\0')[0] ?? '';
}
