/**
 * Netlink attributes (struct nlattr, include/uapi/linux/netlink.h): length and type as host-endian
 * u16, payload, padding to 4 bytes. Written into one growing buffer, read as views.
 */

const HEADER_BYTES = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const INITIAL_BYTES = 256;

/** Rounds up to the 4-byte alignment of netlink. */
export function align4(length: number): number {
  return (length + 3) & ~3;
}

export class AttributeWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(initialBytes: number = INITIAL_BYTES) {
    this.#buffer = Buffer.alloc(initialBytes);
  }

  get length(): number {
    return this.#length;
  }

  u8(type: number, value: number): this {
    // Not in one expression: #begin may replace the buffer.
    const at = this.#begin(type, 1);
    this.#buffer[at] = value;
    return this;
  }

  /** Host byte order, as rtnetlink wants it. */
  u16(type: number, value: number): this {
    const at = this.#begin(type, 2);
    this.#buffer.writeUInt16LE(value, at);
    return this;
  }

  u16be(type: number, value: number): this {
    const at = this.#begin(type, 2);
    this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  u32(type: number, value: number): this {
    const at = this.#begin(type, 4);
    this.#buffer.writeUInt32LE(value >>> 0, at);
    return this;
  }

  u32be(type: number, value: number): this {
    const at = this.#begin(type, 4);
    this.#buffer.writeUInt32BE(value >>> 0, at);
    return this;
  }

  u64be(type: number, value: bigint): this {
    const at = this.#begin(type, 8);
    this.#buffer.writeBigUInt64BE(value, at);
    return this;
  }

  /** NUL-terminated UTF-8. */
  string(type: number, text: string): this {
    const bytes = Buffer.byteLength(text);
    const at = this.#begin(type, bytes + 1);
    this.#buffer.write(text, at, bytes, 'utf8');
    return this;
  }

  bytes(type: number, value: Uint8Array): this {
    const at = this.#begin(type, value.length);
    this.#buffer.set(value, at);
    return this;
  }

  /** One byte per character, no terminator: register bytes of nf_tables. */
  latin1(type: number, value: string): this {
    const at = this.#begin(type, value.length);
    this.#buffer.write(value, at, 'latin1');
    return this;
  }

  /** An attribute that holds attributes; sets NLA_F_NESTED, which strict kernels insist on. */
  nested(type: number, write: (inner: AttributeWriter) => void): this {
    const start = this.#length;
    this.#begin(type | NLA_F_NESTED, 0);
    write(this);
    this.#buffer.writeUInt16LE(this.#length - start, start);
    return this;
  }

  /** A fixed header in front of the attributes (struct ifinfomsg and the like). */
  raw(value: Uint8Array): this {
    const at = this.#length;
    this.#grow(align4(value.length));
    this.#buffer.set(value, at);
    return this;
  }

  /** The bytes so far; the writer must not be used afterwards. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #begin(type: number, payloadBytes: number): number {
    const at = this.#length;
    this.#grow(HEADER_BYTES + align4(payloadBytes));
    this.#buffer.writeUInt16LE(HEADER_BYTES + payloadBytes, at);
    this.#buffer.writeUInt16LE(type, at + 2);
    return at + HEADER_BYTES;
  }

  #grow(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed > this.#buffer.length) {
      const bigger = Buffer.alloc(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(bigger, 0, 0, this.#length);
      this.#buffer = bigger;
    }
    this.#length = needed;
  }
}

/** Walks attributes from `offset` to the end; types come without the nested and byte-order flags. */
export function* eachAttribute(
  buffer: Buffer,
  offset = 0,
): Generator<{ readonly type: number; readonly value: Buffer }> {
  let at = offset;
  while (at + HEADER_BYTES <= buffer.length) {
    const length = buffer.readUInt16LE(at);
    if (length < HEADER_BYTES || at + length > buffer.length) return;
    const type = buffer.readUInt16LE(at + 2) & NLA_TYPE_MASK;
    yield { type, value: buffer.subarray(at + HEADER_BYTES, at + length) };
    at += align4(length);
  }
}

/** All attributes by type; of a repeated type the last one stays. */
export function readAttributes(buffer: Buffer, offset = 0): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (const { type, value } of eachAttribute(buffer, offset)) attributes.set(type, value);
  return attributes;
}

/** Text up to the first NUL. */
export function readString(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end < 0 ? value.length : end);
}
