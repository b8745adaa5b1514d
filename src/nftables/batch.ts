/**
 * A transaction as one datagram: BATCH_BEGIN, the messages, BATCH_END (nfnetlink.h). The kernel
 * applies all of it or nothing. Only the last message asks for an acknowledgement; messages that
 * fail are always reported, by sequence number.
 */
import { AttributeWriter, eachAttribute, readAttributes } from '../netlink/attributes.ts';
import { HEADER_BYTES, NLM_F_REQUEST } from '../netlink/message.ts';
import {
  ELEMENT,
  ELEMENT_INTERVAL_END,
  ELEMENT_LIST,
  NFNL_BATCH_GENID,
  NFNL_MSG_BATCH_BEGIN,
  NFNL_MSG_BATCH_END,
  NFNL_SUBSYS_NFTABLES,
} from './constants.ts';
import { writeElements } from './encode-elements.ts';
import { familyHeader } from './encode-objects.ts';
import { describeOperation, encodeOperation, setKind } from './encode-operation.ts';
import { MessageBuffer } from './message-buffer.ts';
import type { Table } from './model.ts';
import { elementText, tableText } from './text.ts';
import type { ElementOperation, Operation, Transaction } from './transaction.ts';

interface Origin {
  readonly operation: Operation;
  /** Index of the message's first element, or how many rules the chain got with this one. */
  readonly ordinal: number;
}

export interface BatchOptions {
  /** The kernel refuses (ERESTART) when the ruleset has changed since. */
  readonly generation?: number | undefined;
  /** Without its end, at which the kernel checks everything and takes it back. */
  readonly isTrial?: boolean;
}

/** An encoded transaction that remembers which message came from what. */
export class Batch {
  readonly #table: Table;
  readonly #buffer = new MessageBuffer();
  /** Of every message but the first and the last. */
  readonly #origins: Origin[] = [];
  readonly #ruleCounts = new Map<string, number>();
  #setCount = 0;

  constructor(transaction: Transaction, { generation, isTrial = false }: BatchOptions = {}) {
    this.#table = transaction.table;
    this.#buffer.message(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, batchHeader(generation));
    for (const operation of transaction.operations) this.#write(operation);
    if (transaction.operations.length > 0) this.#buffer.acknowledgeLast();
    if (!isTrial) this.#buffer.message(NFNL_MSG_BATCH_END, NLM_F_REQUEST, batchHeader());
  }

  /** Messages, counting begin and end. */
  get messageCount(): number {
    return this.#buffer.count;
  }

  /** The datagram, its messages numbered from `firstSequence`. */
  encode(firstSequence: number): Buffer {
    this.#buffer.renumber(firstSequence);
    return this.#buffer.finish();
  }

  /**
   * Names what the message with that number (0 is the begin) was about; `offset` is where in it
   * the kernel saw the fault, for messages with many elements.
   */
  describe(message: number, offset?: number): string {
    const table = `table ${tableText(this.#table)}`;
    const origin = this.#origins[message - 1];
    if (origin === undefined) return `transaction on ${table}`;
    const { operation, ordinal } = origin;
    if (!('elements' in operation)) return describeOperation(operation, table, ordinal);
    const index = this.#elementAt(message, offset);
    const element = index === undefined ? undefined : operation.elements[ordinal + index];
    const owner = `${setKind(operation.set)} ${operation.set.name} of ${table}`;
    return element === undefined
      ? `elements of ${owner}`
      : `element ${elementText(operation.set, element)} in ${owner}`;
  }

  #write(operation: Operation): void {
    if ('elements' in operation) {
      this.#writeElements(operation);
      return;
    }
    if (operation.kind === 'addSet') this.#setCount++;
    const { command, flags, payload } = encodeOperation(this.#table, operation, this.#setCount);
    const type = (NFNL_SUBSYS_NFTABLES << 8) | command;
    this.#buffer.message(type, NLM_F_REQUEST | flags, payload);
    this.#origins.push({ operation, ordinal: this.#ruleNumber(operation) });
  }

  #writeElements(operation: ElementOperation): void {
    const { set, elements } = operation;
    const isDelete = operation.kind === 'deleteElements';
    for (const ordinal of writeElements(this.#buffer, this.#table, { set, elements, isDelete })) {
      this.#origins.push({ operation, ordinal });
    }
  }

  #ruleNumber(operation: Operation): number {
    if (operation.kind !== 'addRule' && operation.kind !== 'insertRule') return 0;
    const number = (this.#ruleCounts.get(operation.chain) ?? 0) + 1;
    this.#ruleCounts.set(operation.chain, number);
    return number;
  }

  /** Which element of a message lies at a byte offset. */
  #elementAt(message: number, offset: number | undefined): number | undefined {
    if (offset === undefined) return undefined;
    const bytes = this.#buffer.messageAt(message);
    for (const { type, value } of eachAttribute(bytes, HEADER_BYTES + 4)) {
      if (type === ELEMENT_LIST.ELEMENTS) return elementIndexAt(value, bytes, offset);
    }
    return undefined;
  }
}

/** Index of the element whose attribute holds that byte of the message. */
function elementIndexAt(list: Buffer, message: Buffer, offset: number): number | undefined {
  let index = -1;
  for (const { value } of eachAttribute(list)) {
    if (!isEndElement(value)) index++;
    const end = value.byteOffset - message.byteOffset + value.length;
    if (offset < end) return index;
  }
  return undefined;
}

/** Ranges of one field are two attributes, the second of which carries this flag. */
function isEndElement(element: Buffer): boolean {
  const flags = readAttributes(element).get(ELEMENT.FLAGS)?.readUInt32BE(0) ?? 0;
  return (flags & ELEMENT_INTERVAL_END) !== 0;
}

function batchHeader(generation?: number): Buffer {
  const writer = new AttributeWriter().raw(familyHeader(undefined, NFNL_SUBSYS_NFTABLES));
  if (generation !== undefined) writer.u32be(NFNL_BATCH_GENID, generation);
  return writer.finish();
}
