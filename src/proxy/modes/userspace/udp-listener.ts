import { createSocket, type Socket } from 'node:dgram';
import { type IP, ipFamily } from '../../../net/ip.ts';
import type { Candidate } from '../../verdict/explanation.ts';
import type { Place } from './places.ts';
import type { Listener } from './tcp-listener.ts';

/** Packets of a new flow that wait for its socket. */
const MOST_WAITING = 16;

/** A client of a UDP socket. */
export interface UdpClient {
  readonly address: string;
  readonly port: number;
}

/**
 * Listens at a port of an address, 0 for any; settles once packets are taken, with the error when they
 * cannot be.
 */
export function listenUdp(
  { address, port }: Pick<Place, 'address' | 'port'>,
  onPacket: (packet: Buffer, client: UdpClient, reply: (packet: Buffer) => void) => void,
): Promise<Listener> {
  const socket = openSocket(address);
  const opened = Promise.withResolvers<Listener>();
  socket.on('error', opened.reject);
  socket.once('listening', () => {
    opened.resolve({ port: socket.address().port, close: () => socket.close() });
  });
  socket.on('message', (packet, client) => {
    onPacket(packet, client, (answer) => {
      send(() => socket.send(answer, client.port, client.address, () => {}));
    });
  });
  socket.bind({ address, port, exclusive: true });
  return opened.promise;
}

/**
 * The socket for one client's packets to an endpoint. It is connected, so only that endpoint can
 * answer.
 */
export interface UdpUpstream {
  send(packet: Buffer): void;
  close(): void;
}

/** Opens it; `onEnd` is told when the endpoint refuses packets, or nothing can be sent at all. */
export function openUpstream(
  { ip, port }: Pick<Candidate, 'ip' | 'port'>,
  onAnswer: (packet: Buffer) => void,
  onEnd: () => void,
): UdpUpstream {
  const socket = openSocket(ip);
  const waiting: Buffer[] = [];
  let isConnected = false;
  let isClosed = false;
  socket.on('message', onAnswer);
  socket.on('error', onEnd);
  socket.connect(port, ip, () => {
    isConnected = true;
    for (const packet of waiting.splice(0)) send(() => socket.send(packet, () => {}));
  });
  return {
    send(packet) {
      if (isClosed) return;
      if (isConnected) send(() => socket.send(packet, () => {}));
      else if (waiting.length < MOST_WAITING) waiting.push(packet);
    },
    close() {
      if (!isClosed) socket.close();
      isClosed = true;
    },
  };
}

function openSocket(address: IP): Socket {
  const family = ipFamily(address);
  return createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    ipv6Only: family === 6,
    // Addresses are literal: nothing is to be looked up.
    lookup: (host, _options, found) => found(null, host, family),
  });
}

/** A socket that was closed meanwhile throws; the packet is lost, as packets are. */
function send(attempt: () => void): void {
  try {
    attempt();
  } catch {
    // Nothing waits for this packet.
  }
}
