import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { Seats } from '../../util/seats.ts';

const REQUEST_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 15_000;
const MAX_HEADER_BYTES = 16_384;

/** Seats for the connections of one server, or of several together. */
export function connectionSeats(most: number): Seats<Socket> {
  return new Seats({ most, end: (socket) => socket.destroy() });
}

/**
 * A server that anybody may reach: each connection is bounded in time and size, and takes one of
 * `seats` or is refused.
 */
export function createBoundedServer(onRequest: RequestListener, seats: Seats<Socket>): Server {
  const server = createServer({
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: REQUEST_TIMEOUT_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  });
  server.setTimeout(IDLE_TIMEOUT_MS);
  const answered = new WeakSet<Socket>();
  server.on('connection', (socket: Socket) => {
    if (!seats.take(socket, socket.remoteAddress ?? '')) {
      socket.destroy();
      return;
    }
    socket.once('close', () => seats.leave(socket));
  });
  server.on('request', (request, response) => {
    const { socket } = request;
    // Seats are for connections: a thousand requests that come in one packet would have one.
    if (answered.has(socket)) {
      socket.destroy();
      return;
    }
    answered.add(socket);
    response.once('close', () => answered.delete(socket));
    // One whose body is on its way still waits for its client.
    if (!hasBody(request)) seats.mark(socket, true);
    // From here on a client that reads slowly is waited for, like one that asks slowly.
    response.once('prefinish', () => seats.mark(socket, false));
    onRequest(request, response);
  });
  return server;
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
