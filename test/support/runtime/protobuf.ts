/**
 * The protobuf wire format, as far as CRI messages need it: varints and length-delimited fields.
 * Follows protobuf.dev/programming-guides/encoding; unknown fields are kept and can be ignored.
 */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** Collects the fields of one message; default values are left out, as proto3 does. */
export class MessageWriter {
  readonly #parts: Uint8Array[] = [];

  /** Non-negative integers, booleans and enum values. */
  varint(field: number, value: number | bigint | boolean): this {
    const number = BigInt(value);
    if (number !== 0n) this.#parts.push(encodeVarint(BigInt(field << 3)), encodeVarint(number));
    return this;
  }

  string(field: number, value: string | undefined): this {
    if (value === undefined || value === '') return this;
    return this.#delimited(field, Buffer.from(value));
  }

  /** A submessage; written even when empty, since its presence says something. */
  message(field: number, write: (writer: MessageWriter) => unknown): this {
    const inner = new MessageWriter();
    write(inner);
    return this.#delimited(field, inner.finish());
  }

  /** A `map<string, string>`: one submessage `{ key = 1, value = 2 }` per entry. */
  map(field: number, entries: Readonly<Record<string, string>> = {}): this {
    for (const [key, value] of Object.entries(entries)) {
      this.message(field, (entry) => entry.string(1, key).string(2, value));
    }
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #delimited(field: number, bytes: Uint8Array): this {
    const tag = encodeVarint(BigInt((field << 3) | LENGTH_DELIMITED));
    this.#parts.push(tag, encodeVarint(BigInt(bytes.length)), bytes);
    return this;
  }
}

/** The fields of one message by number; absent ones read as the proto3 default. */
export class MessageReader {
  readonly #fields = new Map<number, (bigint | Buffer)[]>();

  /** Throws RangeError on truncated bytes and on wire types CRI does not use. */
  constructor(bytes: Buffer) {
    let offset = 0;
    const next = (length: number): Buffer => {
      if (offset + length > bytes.length) throw new RangeError('protobuf: truncated message');
      offset += length;
      return bytes.subarray(offset - length, offset);
    };
    const varint = (): bigint => {
      let value = 0n;
      for (let shift = 0n; shift < 70n; shift += 7n) {
        const byte = next(1).readUInt8();
        value |= BigInt(byte & 0x7f) << shift;
        if (byte < 0x80) return BigInt.asUintN(64, value);
      }
      throw new RangeError('protobuf: varint of more than 10 bytes');
    };
    while (offset < bytes.length) {
      const tag = Number(varint());
      const values = this.#fields.get(tag >>> 3) ?? [];
      values.push(readValue(tag & 7, varint, next));
      this.#fields.set(tag >>> 3, values);
    }
  }

  /** The last value wins, as the format demands. */
  bigint(field: number): bigint {
    const value = this.#fields.get(field)?.at(-1);
    return typeof value === 'bigint' ? value : 0n;
  }

  number(field: number): number {
    return Number(this.bigint(field));
  }

  boolean(field: number): boolean {
    return this.bigint(field) !== 0n;
  }

  string(field: number): string {
    return this.#buffers(field).at(-1)?.toString() ?? '';
  }

  message(field: number): MessageReader {
    return new MessageReader(this.#buffers(field).at(-1) ?? Buffer.alloc(0));
  }

  messages(field: number): MessageReader[] {
    return this.#buffers(field).map((bytes) => new MessageReader(bytes));
  }

  map(field: number): Record<string, string> {
    return Object.fromEntries(
      this.messages(field).map((entry) => [entry.string(1), entry.string(2)]),
    );
  }

  #buffers(field: number): Buffer[] {
    return (this.#fields.get(field) ?? []).filter((value) => typeof value !== 'bigint');
  }
}

function readValue(
  wireType: number,
  varint: () => bigint,
  next: (length: number) => Buffer,
): bigint | Buffer {
  switch (wireType) {
    case VARINT:
      return varint();
    case FIXED64:
      return next(8);
    case LENGTH_DELIMITED:
      return next(Number(varint()));
    case FIXED32:
      return next(4);
    default:
      throw new RangeError(`protobuf: wire type ${wireType}`);
  }
}

function encodeVarint(value: bigint): Buffer {
  if (value < 0n) throw new RangeError(`protobuf: negative value ${value}`);
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}
