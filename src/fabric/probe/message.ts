/**
 * What nodes ask each other to learn what arrives: a datagram of some size, and a short answer that
 * says of which size it was. An answer is never longer than what it answers.
 *
 *     0  "weft"   4  kind (1 asks, 2 answers)   5  zero   6  bytes of the question (u16)   8  id (u64)
 */
export interface ProbeMessage {
  readonly kind: 'ask' | 'answer';
  /** Chosen at random by who asks. */
  readonly id: bigint;
  /** Bytes of the question, headers of IP and UDP not counted. */
  readonly bytes: number;
}

const MAGIC = 'weft';
const KINDS = { ask: 1, answer: 2 } as const;
const PROBE_HEADER_BYTES = 16;

/** A question is filled up with zeros to its size. Throws RangeError below 16 bytes. */
export function encodeProbe({ kind, id, bytes }: ProbeMessage): Buffer {
  if (bytes < PROBE_HEADER_BYTES) throw new RangeError(`probe of ${bytes} bytes`);
  const message = Buffer.alloc(kind === 'ask' ? bytes : PROBE_HEADER_BYTES);
  message.write(MAGIC, 0, 'latin1');
  message.writeUInt8(KINDS[kind], 4);
  message.writeUInt16BE(bytes, 6);
  message.writeBigUInt64BE(id, 8);
  return message;
}

/** Undefined for everything else that may arrive at the port, and for questions cut short. */
export function decodeProbe(message: Buffer): ProbeMessage | undefined {
  if (message.length < PROBE_HEADER_BYTES) return undefined;
  if (message.toString('latin1', 0, 4) !== MAGIC || message[5] !== 0) return undefined;
  const kind =
    message[4] === KINDS.ask ? 'ask' : message[4] === KINDS.answer ? 'answer' : undefined;
  const bytes = message.readUInt16BE(6);
  const wanted = kind === 'ask' ? bytes : PROBE_HEADER_BYTES;
  if (kind === undefined || message.length !== wanted) return undefined;
  return { kind, id: message.readBigUInt64BE(8), bytes };
}
