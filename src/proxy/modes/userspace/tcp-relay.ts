import { connect, type Socket } from 'node:net';
import type { Clock } from '../../../util/clock.ts';
import type { Candidate } from '../../verdict/explanation.ts';
import { endpointKey } from './endpoint-choice.ts';

/** How long to wait for each endpoint in turn. When none answers, the client is refused. */
const DIAL_TIMEOUTS_MS = [500, 1_000, 2_000, 4_000] as const;
/** Silence after which the kernel asks whether the other side is still there. */
export const KEEP_ALIVE_MS = 60_000;

export interface RelayOptions {
  readonly client: Socket;
  /** An endpoint that was not tried yet. */
  readonly choose: (tried: ReadonlySet<string>) => Candidate | undefined;
  readonly onConnected: (endpoint: Candidate) => void;
  /** No endpoint took the connection. */
  readonly onRefused: () => void;
  /** Neither side has a socket any more. */
  readonly onEnd: () => void;
  readonly clock: Clock;
}

/** The sockets of one connection. */
class Sides {
  readonly #open = new Set<Socket>();
  readonly #onEnd: () => void;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  add(socket: Socket): void {
    this.#open.add(socket);
    // 'close' tells when it ends.
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#open.delete(socket);
      if (this.#open.size === 0) this.#onEnd();
    });
  }

  reset(): void {
    for (const socket of this.#open) socket.resetAndDestroy();
  }
}

/**
 * Leads an accepted connection, which was not read from yet, to an endpoint. Each direction ends on
 * its own, waits for a slow reader, and a reset of one side is a reset of the other. Gives what ends
 * it at once.
 */
export function relay(options: RelayOptions): () => void {
  const sides = new Sides(options.onEnd);
  sides.add(options.client);
  dial(options, sides, new Set());
  return () => sides.reset();
}

function dial(options: RelayOptions, sides: Sides, tried: ReadonlySet<string>): void {
  const { client, choose, clock, onConnected, onRefused } = options;
  if (client.destroyed) return;
  const timeoutMs = DIAL_TIMEOUTS_MS[tried.size];
  const endpoint = timeoutMs === undefined ? undefined : choose(tried);
  if (timeoutMs === undefined || endpoint === undefined) {
    onRefused();
    client.resetAndDestroy();
    return;
  }
  const upstream = connect({
    ...{ host: endpoint.ip, port: endpoint.port, allowHalfOpen: true, noDelay: true },
    ...{ keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
  });
  const giveUp = () => upstream.destroy();
  client.once('close', giveUp);
  const cancel = clock.schedule(timeoutMs, giveUp);
  const failed = () => {
    cancel();
    client.off('close', giveUp);
    dial(options, sides, new Set([...tried, endpointKey(endpoint)]));
  };
  upstream.once('close', failed);
  sides.add(upstream);
  upstream.once('connect', () => {
    cancel();
    client.off('close', giveUp);
    upstream.off('close', failed);
    onConnected(endpoint);
    join(client, upstream);
  });
}

function join(client: Socket, upstream: Socket): void {
  for (const [one, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    one.pipe(other);
    one.once('close', (hadError) => {
      if (hadError) other.resetAndDestroy();
      else other.destroySoon();
    });
  }
}
