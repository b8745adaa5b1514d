/** Whether a rule in the kernel is the one that would be sent. */
import { eachAttribute, readAttributes, readString } from '../netlink/attributes.ts';
import { DATA, DYNSET_EXPRESSION, EXPR, RULE, VERDICT } from './constants.ts';
import { encodeRule } from './encode-objects.ts';
import type { Rule, Table } from './model.ts';

const FAMILY_HEADER_BYTES = 4;
/** The expression whose attributes say what it has seen, not what it is. */
const COUNTER = 'counter';
/** Of the expression `immediate`. */
const IMMEDIATE_DATA = 2;
/** Registers of four bytes as we name them: the kernel names every fourth by its old number. */
const FIRST_REGISTER = 8;
const LAST_REGISTER = 23;

interface Expression {
  readonly name: string;
  readonly attributes: ReadonlyMap<number, Buffer>;
}

/**
 * Compares a rule as listed (payload of a NEWRULE) with one as it is sent: the same expressions,
 * and the same value of every attribute that both have. The kernel leaves out some and adds others.
 */
export function isSameRule(table: Table, chain: string, rule: Rule, listed: Buffer): boolean {
  const sent = readExpressions(encodeRule(table, chain, rule));
  const found = readExpressions(listed);
  return (
    sent.length === found.length &&
    sent.every((expression, i) => {
      const other = found[i];
      return other !== undefined && isSameExpression(expression, other);
    })
  );
}

function readExpressions(payload: Buffer): readonly Expression[] {
  const list = readAttributes(payload, FAMILY_HEADER_BYTES).get(RULE.EXPRESSIONS);
  return Array.from(eachAttribute(list ?? Buffer.alloc(0)), ({ value }) => readExpression(value));
}

function readExpression(value: Buffer): Expression {
  const expression = readAttributes(value);
  const name = expression.get(EXPR.NAME);
  const data = expression.get(EXPR.DATA);
  return {
    name: name === undefined ? '' : readString(name),
    attributes: data === undefined ? new Map() : readAttributes(data),
  };
}

function isSameExpression(sent: Expression, found: Expression): boolean {
  if (sent.name !== found.name) return false;
  if (sent.name === COUNTER) return true;
  for (const [type, value] of sent.attributes) {
    const other = found.attributes.get(type);
    if (other === undefined) continue;
    if (!isSameAttribute(sent.name, type, value, other)) return false;
  }
  return true;
}

function isSameAttribute(expression: string, type: number, sent: Buffer, found: Buffer): boolean {
  if (expression === 'immediate' && type === IMMEDIATE_DATA) {
    return verdictText(sent) === verdictText(found);
  }
  if (expression === 'dynset' && type === DYNSET_EXPRESSION) {
    return isSameExpression(readExpression(sent), readExpression(found));
  }
  return isSameValue(sent, found);
}

/** The nested attributes are flagged as such in what is sent only; the bytes of a value otherwise. */
function verdictText(data: Buffer): string {
  const attributes = readAttributes(data);
  const verdict = attributes.get(DATA.VERDICT);
  if (verdict === undefined) return attributes.get(DATA.VALUE)?.toString('hex') ?? '';
  const fields = readAttributes(verdict);
  const chain = fields.get(VERDICT.CHAIN);
  const code = fields.get(VERDICT.CODE)?.readInt32BE(0) ?? 0;
  return `${code} ${chain === undefined ? '' : readString(chain)}`;
}

function isSameValue(sent: Buffer, found: Buffer): boolean {
  if (sent.equals(found)) return true;
  if (sent.length !== 4 || found.length !== 4) return false;
  return registerNumber(sent.readUInt32BE(0)) === registerNumber(found.readUInt32BE(0));
}

function registerNumber(value: number): number {
  const isOld = value % 4 === 0 && value >= FIRST_REGISTER && value <= LAST_REGISTER;
  return isOld ? value / 4 - 1 : value;
}
