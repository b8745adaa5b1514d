import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { TLSSocket } from 'node:tls';

export interface LoggedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly isWatch: boolean;
  readonly userAgent: string;
  readonly accept: string;
  readonly authorization: string | undefined;
  /** Common name of the client certificate. */
  readonly clientName: string | undefined;
}

export function describeRequest(request: IncomingMessage): LoggedRequest {
  const url = new URL(request.url ?? '/', 'https://fake');
  // Requests reach an HTTPS server through TLS sockets only.
  const socket = request.socket as TLSSocket;
  const subject = socket.authorized ? socket.getPeerCertificate().subject : undefined;
  return {
    method: request.method ?? '',
    path: url.pathname,
    query: url.searchParams,
    isWatch: ['1', 'true'].includes(url.searchParams.get('watch') ?? ''),
    userAgent: request.headers['user-agent'] ?? '',
    accept: request.headers.accept ?? '',
    authorization: request.headers.authorization,
    clientName: typeof subject?.CN === 'string' ? subject.CN : undefined,
  };
}

/** Closes an answer's connection without a word, whichever HTTP it speaks. */
export function cutConnection(response: ServerResponse): void {
  if ('stream' in response) {
    // An answer of HTTP/2 in the disguise of the other.
    (response as unknown as Http2ServerResponse).stream.session?.destroy();
  } else response.destroy();
}

export function writeEvent(response: ServerResponse, event: unknown): void {
  response.write(`${JSON.stringify(event)}\n`);
}

export function writeJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

export function writeStatus(
  response: ServerResponse,
  status: number,
  reason: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  writeJson(response, status, statusOf(status, reason), headers);
}

/** A metav1.Status; `cause` as the API server gives it for versions from the future. */
export function statusOf(code: number, reason: string, cause?: string) {
  const details = cause === undefined ? {} : { details: { causes: [{ reason: cause }] } };
  const message = 'forced';
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message, ...details };
}

/** Writes a body bit by bit, as a slow server or line does; stops when the client is gone. */
export async function writeSlowly(
  response: ServerResponse,
  body: string,
  { pieces, everyMs }: { readonly pieces: number; readonly everyMs: number },
): Promise<void> {
  const bytes = Buffer.from(body);
  const size = Math.ceil(bytes.length / pieces);
  response.writeHead(200, { 'content-type': 'application/json' });
  for (let start = 0; start < bytes.length && !response.destroyed; start += size) {
    response.write(bytes.subarray(start, start + size));
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  response.end();
}

export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}
