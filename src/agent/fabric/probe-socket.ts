import { createSocket, type Socket } from 'node:dgram';
import type { ProbeSocket } from '../../fabric/probe/prober.ts';
import { type IP, type IPFamily, ipFamily, tryParseIP } from '../../net/ip.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';

/** What waits to be sent; more is lost, which a probe can bear. */
const SEND_BUFFER_BYTES = 1 << 18;
/** Received in a second: somewhat more than the kernel lets through where it has nf_tables. */
const MOST_RECEIVED = 4_000;
const SECOND_MS = 1_000;

type Listener = (message: Buffer, from: IP, port: number) => void;

export interface OpenProbeSocket {
  readonly socket: ProbeSocket;
  /** Nobody else has the port. */
  readonly isOpen: () => boolean;
  /** Why no probe of a family can be sent or answered, with the cure. */
  readonly problems: () => readonly string[];
}

/**
 * UDP at `port` of all addresses of the node, each family by itself. A flood of a family has its socket
 * closed for a second, so that it costs the event loop so much and not more.
 */
export function openProbeSocket(port: number, clock: Clock): OpenProbeSocket {
  const listeners: Listener[] = [];
  const hear: Listener = (...received) => {
    for (const listener of listeners) listener(...received);
  };
  const sockets = new Map<IPFamily, FamilySocket>(
    ([4, 6] as const).map((family) => [family, new FamilySocket(family, port, clock, hear)]),
  );
  const all = [...sockets.values()];
  return {
    isOpen: () => all.every(({ failure }) => failure === undefined),
    problems: () =>
      all.flatMap(({ family, failure, isFlooded }) => {
        const cure = 'free the port, or set another fabric.probePort on all nodes';
        if (failure !== undefined)
          return `paths are not probed by IPv${family}: ${failure}; ${cure}`;
        if (!isFlooded) return [];
        const flood = `more than ${MOST_RECEIVED} packets arrive in a second at UDP port ${port}`;
        return `paths are not probed by IPv${family}: ${flood}; find who sends them`;
      }),
    socket: {
      send: (to, toPort, message) => sockets.get(ipFamily(to))?.send(to, toPort, message),
      onMessage: (listener) => void listeners.push(listener),
      close: () => {
        for (const socket of all) socket.close();
      },
    },
  };
}

class FamilySocket {
  readonly family: IPFamily;
  readonly #port: number;
  readonly #clock: Clock;
  readonly #hear: Listener;
  #socket: Socket | undefined;
  #failure: string | undefined;
  #received = 0;
  #cancel: (() => void) | undefined;
  #isFlooded = false;

  constructor(family: IPFamily, port: number, clock: Clock, hear: Listener) {
    this.family = family;
    this.#port = port;
    this.#clock = clock;
    this.#hear = hear;
    this.#open();
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  get isFlooded(): boolean {
    return this.#isFlooded;
  }

  /** Without a way to send, the question is not answered, which is what it is for. */
  send(to: IP, toPort: number, message: Buffer): void {
    this.#socket?.send(message, toPort, to, () => {});
  }

  close(): void {
    this.#cancel?.();
    this.#rest();
  }

  #open(): void {
    const { family } = this;
    const socket = createSocket({ type: `udp${family}`, ipv6Only: family === 6 });
    this.#socket = socket;
    socket.on('message', (message, { address, port }) => {
      // What was received before the socket was closed comes after it.
      if (this.#socket !== socket || this.#isTooMuch()) return;
      const from = tryParseIP(address);
      if (from !== undefined) this.#hear(message, from, port);
    });
    socket.on('error', (error) => this.#fail(error));
    socket.bind(this.#port, () => {
      this.#failure = undefined;
      socket.setSendBufferSize(SEND_BUFFER_BYTES);
    });
  }

  /** A node without IPv6 has nothing to probe by it. */
  #fail(error: Error): void {
    if ('code' in error && error.code === 'EAFNOSUPPORT') return;
    this.#failure = toError(error).message;
    this.#rest();
    this.#count();
  }

  #isTooMuch(): boolean {
    this.#count();
    this.#received += 1;
    if (this.#received <= MOST_RECEIVED) return false;
    this.#isFlooded = true;
    this.#rest();
    return true;
  }

  #rest(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** Begins a second, unless one runs; at its end the socket is there again. */
  #count(): void {
    this.#cancel ??= this.#clock.schedule(SECOND_MS, () => {
      this.#cancel = undefined;
      if (this.#received <= MOST_RECEIVED) this.#isFlooded = false;
      this.#received = 0;
      if (this.#socket === undefined) this.#open();
    });
  }
}
