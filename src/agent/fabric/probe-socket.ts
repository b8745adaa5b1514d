import { createSocket, type Socket } from 'node:dgram';
import type { ProbeSocket } from '../../fabric/probe/prober.ts';
import { type IP, type IPFamily, ipFamily, tryParseIP } from '../../net/ip.ts';
import { toError } from '../../util/errors.ts';

/** What waits to be sent; more is lost, which a probe can bear. */
const SEND_BUFFER_BYTES = 1 << 18;

export interface OpenProbeSocket {
  readonly socket: ProbeSocket;
  /** Why no probe of a family can be sent or answered, with the cure. */
  readonly problems: () => readonly string[];
}

/** UDP at `port` of all addresses of the node, each family by itself. */
export function openProbeSocket(port: number): OpenProbeSocket {
  const failures = new Map<IPFamily, string>();
  const listeners: ((message: Buffer, from: IP, port: number) => void)[] = [];
  const sockets = new Map<IPFamily, Socket>();
  for (const family of [4, 6] as const) {
    const socket = createSocket({ type: `udp${family}`, ipv6Only: family === 6 });
    socket.on('message', (message, { address, port: fromPort }) => {
      const from = tryParseIP(address);
      if (from !== undefined) for (const listener of listeners) listener(message, from, fromPort);
    });
    socket.on('error', (error) => fail(family, error));
    socket.bind(port, () => {
      failures.delete(family);
      socket.setSendBufferSize(SEND_BUFFER_BYTES);
    });
    sockets.set(family, socket);
  }

  /** A node without IPv6 has nothing to probe by it. */
  function fail(family: IPFamily, error: Error): void {
    if ('code' in error && error.code === 'EAFNOSUPPORT') return;
    failures.set(family, toError(error).message);
  }

  return {
    problems: () =>
      Array.from(failures, ([family, reason]) => {
        const cure = 'free the port, or set another fabric.probePort on all nodes';
        return `paths are not probed by IPv${family}: ${reason}; ${cure}`;
      }),
    socket: {
      // Without a way to send, the question is not answered, which is what it is for.
      send: (to, toPort, message) => sockets.get(ipFamily(to))?.send(message, toPort, to, () => {}),
      onMessage: (listener) => void listeners.push(listener),
      close: () => {
        for (const socket of sockets.values()) socket.close();
      },
    },
  };
}
