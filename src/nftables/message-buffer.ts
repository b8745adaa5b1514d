import { align4 } from '../netlink/attributes.ts';
import { HEADER_BYTES, NLM_F_ACK, writeHeader } from '../netlink/message.ts';

const INITIAL_BYTES = 4096;

/**
 * Netlink messages one behind the other in one zeroed, growing buffer. Sequence numbers start at 0
 * and are moved to their final place by `renumber`, when their count is known.
 */
export class MessageBuffer {
  /** Replaced when it grows: read it again after `reserve`. */
  bytes: Buffer = Buffer.alloc(INITIAL_BYTES);
  length = 0;
  #starts: number[] = [];

  /** Messages so far; also the relative sequence number of the next one. */
  get count(): number {
    return this.#starts.length;
  }

  /** Makes room for that many bytes behind `length`. */
  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.bytes.length) return;
    const bigger = Buffer.alloc(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(bigger, 0, 0, this.length);
    this.bytes = bigger;
  }

  /** Starts a message with the fixed part of its payload; finish it with `end`. */
  begin(type: number, flags: number, payload: Buffer): void {
    this.reserve(HEADER_BYTES + align4(payload.length));
    const sequence = this.#starts.push(this.length) - 1;
    writeHeader(this.bytes, this.length, { length: 0, type, flags, sequence });
    this.bytes.set(payload, this.length + HEADER_BYTES);
    this.length += HEADER_BYTES + align4(payload.length);
  }

  /** Writes the length of the message begun last. */
  end(): void {
    const start = this.startOf(this.count - 1);
    this.bytes.writeUInt32LE(this.length - start, start);
  }

  message(type: number, flags: number, payload: Buffer): void {
    this.begin(type, flags, payload);
    this.end();
  }

  /** Byte offset of a message. */
  startOf(index: number): number {
    const start = this.#starts[index];
    if (start === undefined) throw new RangeError(`message ${index}: there are ${this.count}`);
    return start;
  }

  /** The bytes of a finished message. */
  messageAt(index: number): Buffer {
    const start = this.startOf(index);
    return this.bytes.subarray(start, start + this.bytes.readUInt32LE(start));
  }

  /** Asks for an acknowledgement of the last message. */
  acknowledgeLast(): void {
    const at = this.startOf(this.count - 1) + 6;
    this.bytes.writeUInt16LE(this.bytes.readUInt16LE(at) | NLM_F_ACK, at);
  }

  /** Gives the messages the sequence numbers from `first` on. */
  renumber(first: number): void {
    this.#starts.forEach((start, index) => {
      this.bytes.writeUInt32LE(first + index, start + 8);
    });
  }

  finish(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}
