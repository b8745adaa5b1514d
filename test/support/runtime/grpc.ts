/** Unary gRPC calls over a unix socket: HTTP/2 POST, one length-prefixed message each way. */
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { connect as connectSocket } from 'node:net';

/** What a server answered instead of a message; codes are those of grpc/status. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  readonly code: number;

  constructor(method: string, code: number, message: string) {
    super(`${method}: ${message || 'no message'} (grpc status ${code})`);
    this.code = code;
  }
}

const PREFIX_BYTES = 5;

/** One connection; calls may run at the same time. */
export class GrpcConnection {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
  }

  /** Rejects when nobody listens on the path. */
  static async open(socketPath: string): Promise<GrpcConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<ClientHttp2Session>();
    const session = connect('http://localhost', {
      createConnection: () => connectSocket(socketPath),
    });
    session.once('connect', () => resolve(session));
    session.once('error', reject);
    return new GrpcConnection(await promise);
  }

  /** Calls `/<service>/<method>`; throws GrpcError, also when `timeoutMs` have passed. */
  async call(method: string, message: Buffer, timeoutMs = 60_000): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const stream = this.#session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: method,
      [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
      te: 'trailers',
      'grpc-timeout': `${timeoutMs}m`,
    });
    const chunks: Buffer[] = [];
    let status: Record<string, unknown> = {};
    stream.setTimeout(timeoutMs + 1000, () => stream.close(constants.NGHTTP2_CANCEL));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    // An error before any message comes in the headers alone ("trailers-only").
    stream.on('response', (headers) => {
      status = headers;
    });
    stream.on('trailers', (trailers) => {
      status = trailers;
    });
    stream.on('error', reject);
    stream.on('close', () => {
      const code = Number(status['grpc-status'] ?? 2);
      if (code === 0) resolve(unprefixed(Buffer.concat(chunks)));
      else
        reject(new GrpcError(method, code, decodeURIComponent(`${status['grpc-message'] ?? ''}`)));
    });
    stream.end(prefixed(message));
    return promise;
  }

  close(): void {
    this.#session.destroy();
  }
}

/** Length-prefixed message: compressed flag (0), length in four bytes, message. */
function prefixed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function unprefixed(body: Buffer): Buffer {
  if (body.length < PREFIX_BYTES) throw new RangeError(`grpc: ${body.length} bytes of message`);
  return body.subarray(PREFIX_BYTES, PREFIX_BYTES + body.readUInt32BE(1));
}
