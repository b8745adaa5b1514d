/**
 * What the shim and the agent say to each other over the unix socket, one request and one answer per
 * connection. All numbers are 32 bits, big-endian; native/shim/weft-shim.c is the other speaker.
 *
 * request  "WFT1" length  { keyLength valueLength key value }…   and the namespace by SCM_RIGHTS
 * answer   "WFT1" length  exitCode stdoutLength stdout stderr
 *
 * The exit code `RUN_STANDALONE` answers nothing: the shim then executes the standalone.
 *
 * Keys: `env.<NAME>` for each variable that is set, `stdin`, and `netns-error` when CNI_NETNS could
 * not be opened.
 */
import { DecodeError } from '../../util/errors.ts';
import type { Outcome } from './outcome.ts';
import { MAX_STDIN_BYTES } from './request.ts';

const MAGIC = 'WFT1';
const HEADER_BYTES = 8;

/**
 * Exit code of an answer that leaves the call to the standalone, because it needs what would hold up
 * the agent's other calls. No process ends with it: exit codes have 8 bits.
 */
export const RUN_STANDALONE = 0xffff_fffe;

/** Stdin, the environment (at most 2 MiB by execve) and room for the record headers. */
const MAX_PAYLOAD_BYTES = MAX_STDIN_BYTES + 4 * 1024 * 1024;

/** A decoded request; `netnsError` says why no descriptor came along. */
export interface ShimRequest {
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: Buffer;
  readonly netnsError: string | undefined;
}

/** Collects the chunks of one frame. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;

  /** The payload once it is complete. Throws DecodeError for a foreign, oversized or too long frame. */
  push(chunk: Buffer): Buffer | undefined {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < HEADER_BYTES) return undefined;
    const bytes = this.#joined();
    if (bytes.toString('latin1', 0, 4) !== MAGIC) throw new DecodeError('frame: no WFT1 magic');
    const payloadBytes = bytes.readUInt32BE(4);
    if (payloadBytes > MAX_PAYLOAD_BYTES) throw new DecodeError(`frame: ${payloadBytes} bytes`);
    const missing = HEADER_BYTES + payloadBytes - this.#length;
    if (missing < 0) throw new DecodeError(`frame: ${-missing} bytes too many`);
    return missing === 0 ? bytes.subarray(HEADER_BYTES) : undefined;
  }

  /** Joins only when the header is not in the first chunk or everything has arrived. */
  #joined(): Buffer {
    const [first] = this.#chunks;
    if (first !== undefined && first.length >= HEADER_BYTES) {
      const wanted = HEADER_BYTES + first.readUInt32BE(4);
      if (this.#chunks.length === 1 || this.#length < wanted) return first;
    }
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }
}

/** Reads a request's payload. Throws DecodeError when lengths do not add up. */
export function decodeRequest(payload: Buffer): ShimRequest {
  const env: [string, string][] = [];
  let stdin: Buffer = Buffer.alloc(0);
  let netnsError: string | undefined;
  for (const [key, value] of eachRecord(payload)) {
    if (key.startsWith('env.')) env.push([key.slice('env.'.length), value.toString('utf8')]);
    else if (key === 'stdin') stdin = value;
    else if (key === 'netns-error') netnsError = value.toString('utf8');
  }
  return { env: Object.fromEntries(env), stdin, netnsError };
}

/** The whole answer frame. */
export function encodeAnswer({ exitCode, stdout, stderr }: Outcome): Buffer {
  const body = Buffer.from(stdout);
  const errors = Buffer.from(stderr);
  const header = Buffer.alloc(HEADER_BYTES + 8);
  header.write(MAGIC, 'latin1');
  header.writeUInt32BE(8 + body.length + errors.length, 4);
  header.writeUInt32BE(exitCode, 8);
  header.writeUInt32BE(body.length, 12);
  return Buffer.concat([header, body, errors]);
}

function* eachRecord(payload: Buffer): Generator<readonly [string, Buffer]> {
  let offset = 0;
  while (offset < payload.length) {
    if (offset + 8 > payload.length) throw new DecodeError('frame: cut in a record header');
    const keyEnd = offset + 8 + payload.readUInt32BE(offset);
    const valueEnd = keyEnd + payload.readUInt32BE(offset + 4);
    if (valueEnd > payload.length) throw new DecodeError('frame: cut in a record');
    yield [payload.toString('utf8', offset + 8, keyEnd), payload.subarray(keyEnd, valueEnd)];
    offset = valueEnd;
  }
}
