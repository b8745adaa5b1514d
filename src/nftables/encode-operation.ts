/** One step of a transaction as a message, and in words. */
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from '../netlink/message.ts';
import { assertNever } from '../util/errors.ts';
import { MSG } from './constants.ts';
import {
  encodeChain,
  encodeChainName,
  encodeRule,
  encodeRuleHandle,
  encodeRulesOf,
  encodeSet,
  encodeSetName,
  encodeTable,
  encodeTableFlags,
  encodeTableName,
} from './encode-objects.ts';
import type { NamedSet, Table } from './model.ts';
import type { ObjectOperation } from './transaction.ts';

export interface EncodedOperation {
  /** NFT_MSG_* */
  readonly command: number;
  /** Besides NLM_F_REQUEST. */
  readonly flags: number;
  readonly payload: Buffer;
}

/** `setId` numbers the set that the step creates, if it does. */
export function encodeOperation(
  table: Table,
  operation: ObjectOperation,
  setId: number,
): EncodedOperation {
  switch (operation.kind) {
    case 'addTable':
      return create(MSG.NEWTABLE, operation.isExclusive, encodeTable(table));
    case 'resetTableFlags':
      return create(MSG.NEWTABLE, false, encodeTableFlags(table));
    case 'deleteTable':
      return remove(MSG.DELTABLE, encodeTableName(table));
    case 'addChain':
      return create(MSG.NEWCHAIN, operation.isExclusive, encodeChain(table, operation.chain));
    case 'flushChain':
      return remove(MSG.DELRULE, encodeRulesOf(table, operation.chain));
    case 'deleteChain':
      return remove(MSG.DELCHAIN, encodeChainName(table, operation.chain));
    case 'addRule':
    case 'insertRule': {
      const position = operation.kind === 'insertRule' ? operation.before : undefined;
      const payload = encodeRule(table, operation.chain, operation.rule, position);
      const place = operation.kind === 'addRule' ? NLM_F_APPEND : 0;
      return { command: MSG.NEWRULE, flags: NLM_F_CREATE | place, payload };
    }
    case 'deleteRule':
      return remove(MSG.DELRULE, encodeRuleHandle(table, operation.chain, operation.handle));
    case 'addSet':
      return create(MSG.NEWSET, operation.isExclusive, encodeSet(table, operation.set, setId));
    case 'deleteSet':
      return remove(MSG.DELSET, encodeSetName(table, operation.set));
    case 'flushSet':
      return remove(MSG.DELSETELEM, encodeSetName(table, operation.set));
    default:
      return assertNever(operation, 'operation');
  }
}

/** The object a step is about, for errors: `chain n5 of table ip weft-proxy`. */
export function describeOperation(
  operation: ObjectOperation,
  table: string,
  ruleNumber: number,
): string {
  switch (operation.kind) {
    case 'addTable':
    case 'resetTableFlags':
    case 'deleteTable':
      return table;
    case 'addChain':
      return `chain ${operation.chain.name} of ${table}`;
    case 'flushChain':
    case 'deleteChain':
      return `chain ${operation.chain} of ${table}`;
    case 'addRule':
    case 'insertRule':
      return `rule ${ruleNumber} added to chain ${operation.chain} of ${table}`;
    case 'deleteRule':
      return `rule with handle ${operation.handle} of chain ${operation.chain} of ${table}`;
    case 'addSet':
      return `${setKind(operation.set)} ${operation.set.name} of ${table}`;
    case 'deleteSet':
    case 'flushSet':
      return `set ${operation.set} of ${table}`;
    default:
      return assertNever(operation, 'operation');
  }
}

/** `set` or `map` */
export function setKind(set: NamedSet): 'set' | 'map' {
  return set.data === undefined ? 'set' : 'map';
}

function create(command: number, isExclusive: boolean, payload: Buffer): EncodedOperation {
  return { command, flags: NLM_F_CREATE | (isExclusive ? NLM_F_EXCL : 0), payload };
}

function remove(command: number, payload: Buffer): EncodedOperation {
  return { command, flags: 0, payload };
}
