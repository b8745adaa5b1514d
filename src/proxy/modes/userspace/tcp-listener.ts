import { createServer, type Socket } from 'node:net';
import { ipFamily } from '../../../net/ip.ts';
import type { Place } from './places.ts';
import { KEEP_ALIVE_MS } from './tcp-relay.ts';

/** Connections that wait to be accepted; the kernel's own limit is net.core.somaxconn. */
const BACKLOG = 1024;

/** A socket of ours; closing it leaves what it has accepted alone. */
export interface Listener {
  readonly port: number;
  close(): void;
}

/**
 * Listens at a port of an address, 0 for any; settles once connections are accepted, with the error
 * when they cannot be.
 */
export function listenTcp(
  { address, port }: Pick<Place, 'address' | 'port'>,
  onConnection: (client: Socket) => void,
): Promise<Listener> {
  const server = createServer(
    {
      ...{ allowHalfOpen: true, pauseOnConnect: true, noDelay: true },
      ...{ keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
    },
    onConnection,
  );
  const opened = Promise.withResolvers<Listener>();
  server.on('error', opened.reject);
  server.once('listening', () => {
    const bound = server.address();
    const own = typeof bound === 'object' && bound !== null ? bound.port : port;
    opened.resolve({ port: own, close: () => server.close() });
  });
  const ipv6Only = ipFamily(address) === 6;
  server.listen({ host: address, port, ipv6Only, exclusive: true, backlog: BACKLOG });
  return opened.promise;
}
