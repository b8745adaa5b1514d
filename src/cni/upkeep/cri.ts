/**
 * One question to a container runtime: which sandboxes there are. CRI is gRPC on a unix socket: an
 * HTTP/2 POST whose body is a protobuf message behind five bytes of prefix (k8s.io/cri-api
 * pkg/apis/runtime/v1/api.proto; gRPC over HTTP2, "Length-Prefixed-Message").
 */
import { type ClientHttp2Stream, connect, constants } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { DecodeError, IoError } from '../../util/errors.ts';
import type { Sandboxes } from './sweep-model.ts';

const METHOD = '/runtime.v1.RuntimeService/ListPodSandbox';

/** Compressed flag and length. */
const PREFIX_BYTES = 5;

/** An empty ListPodSandboxRequest: no filter. */
const EMPTY_REQUEST = Buffer.alloc(PREFIX_BYTES);

/** Far above what 1,000 sandboxes with their labels take. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

/** Field numbers of ListPodSandboxResponse and PodSandbox. */
const ITEMS_FIELD = 1;
const ID_FIELD = 1;
const STATE_FIELD = 3;
/** SANDBOX_READY is the default, which is not sent. */
const READY_STATE = 0n;

/** Rejects with IoError or DecodeError when there is no whole answer within `timeoutMs`. */
export async function listSandboxes(socketPath: string, timeoutMs: number): Promise<Sandboxes> {
  return decodeSandboxes(await call(socketPath, timeoutMs));
}

/** Reads a ListPodSandboxResponse. Throws DecodeError. */
export function decodeSandboxes(response: Buffer): Sandboxes {
  const ready = new Set<string>();
  const known = new Set<string>();
  for (const { field, value } of readFields(response)) {
    if (field !== ITEMS_FIELD || typeof value === 'bigint') continue;
    const { id, state } = decodeSandbox(value);
    if (id === '') throw new DecodeError('list of sandboxes: one without an id');
    known.add(id);
    if (state === READY_STATE) ready.add(id);
  }
  return { ready, known };
}

function decodeSandbox(message: Buffer): { readonly id: string; readonly state: bigint } {
  let id = '';
  let state = READY_STATE;
  for (const { field, value } of readFields(message)) {
    if (field === ID_FIELD && typeof value !== 'bigint') id = value.toString('utf8');
    if (field === STATE_FIELD && typeof value === 'bigint') state = value;
  }
  return { id, state };
}

interface Field {
  readonly field: number;
  /** Bytes of length-delimited fields, the number of varints; others are skipped over. */
  readonly value: bigint | Buffer;
}

/** The fields of one protobuf message, in their order (protobuf.dev, "Encoding"). */
function* readFields(message: Buffer): Generator<Field> {
  const reader = { message, offset: 0 };
  while (reader.offset < message.length) {
    const tag = Number(readVarint(reader));
    const field = tag >>> 3;
    switch (tag & 7) {
      case 0:
        yield { field, value: readVarint(reader) };
        break;
      case 1:
        take(reader, 8);
        break;
      case 2:
        yield { field, value: take(reader, Number(readVarint(reader))) };
        break;
      case 5:
        take(reader, 4);
        break;
      default:
        throw new DecodeError(`list of sandboxes: wire type ${tag & 7} of field ${field}`);
    }
  }
}

interface Reader {
  readonly message: Buffer;
  offset: number;
}

function readVarint(reader: Reader): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = take(reader, 1).readUInt8();
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw new DecodeError('list of sandboxes: a number of more than ten bytes');
}

function take(reader: Reader, length: number): Buffer {
  const end = reader.offset + length;
  if (end > reader.message.length) throw new DecodeError('list of sandboxes: it ends too early');
  const bytes = reader.message.subarray(reader.offset, end);
  reader.offset = end;
  return bytes;
}

/** One call on a connection of its own: it is asked once a minute. */
async function call(socketPath: string, timeoutMs: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const fail = (reason: string, cause?: unknown) => {
    const options = cause === undefined ? {} : { cause };
    reject(new IoError(`ask runtime at ${socketPath}: ${reason}`, options));
  };
  const session = connect('http://localhost', {
    createConnection: () => connectSocket(socketPath),
  });
  const timer = setTimeout(() => fail(`no answer in ${timeoutMs} ms`), timeoutMs);
  session.on('error', (error) => fail(error.message, error));
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: METHOD,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    te: 'trailers',
    'grpc-timeout': `${timeoutMs}m`,
  });
  collect(stream, resolve, fail);
  stream.end(EMPTY_REQUEST);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    session.destroy();
  }
}

function collect(
  stream: ClientHttp2Stream,
  resolve: (message: Buffer) => void,
  fail: (reason: string, cause?: unknown) => void,
): void {
  const chunks: Buffer[] = [];
  let received = 0;
  let status: unknown;
  stream.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received > MAX_ANSWER_BYTES) fail(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    else chunks.push(chunk);
  });
  // An error before any message comes in the headers alone.
  stream.on('response', (headers) => {
    status = headers['grpc-status'];
  });
  stream.on('trailers', (trailers) => {
    status = trailers['grpc-status'];
  });
  stream.on('error', (error) => fail(error.message, error));
  stream.on('close', () => {
    const body = Buffer.concat(chunks);
    if (status !== '0') return fail(`grpc status ${status ?? 'missing'}`);
    if (body.length < PREFIX_BYTES || body.length !== PREFIX_BYTES + body.readUInt32BE(1)) {
      return fail(`a message of ${body.length} bytes that is not whole`);
    }
    resolve(body.subarray(PREFIX_BYTES));
  });
}
