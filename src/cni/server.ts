import { closeSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { UnixConnection } from '../kernel/unix-connection.ts';
import { UnixServer } from '../kernel/unix-socket.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { type Invocation, runVerbs } from './call.ts';
import type { CniNode } from './node.ts';
import { podOf } from './protocol/args.ts';
import {
  decodeRequest,
  encodeAnswer,
  FrameReader,
  RUN_STANDALONE,
  type ShimRequest,
} from './protocol/frame.ts';
import { failure, type Outcome } from './protocol/outcome.ts';
import type { Environment } from './protocol/request.ts';

export interface CniServerOptions {
  /** Where the shim connects: `<run directory>/cni.sock`. */
  readonly path: string;
  readonly node: CniNode;
  readonly clock: Clock;
  readonly log: Logger;
  /** Calls at once; the shim of one that is turned away runs the standalone. */
  readonly most: number;
  /** What a call has to wait for before it is served; absent, or undefined, for nothing. Bounded. */
  readonly waitFor?: (env: Environment) => Promise<void> | undefined;
  /**
   * Told after each answer: a verb of the specification or `other`, the CNI error code or 0, and the
   * time since the request was complete.
   */
  readonly onServed?: (verb: string, errorCode: number, seconds: number) => void;
}

/** A connection that has not delivered its request by then is closed. */
const REQUEST_TIMEOUT_MS = 5000;

/** A complete request that waits for its turn. */
interface Pending {
  readonly connection: UnixConnection;
  readonly request: ShimRequest;
  /** Descriptors that came along; who closes the connection closes what is left of them. */
  readonly fds: number[];
  readonly receivedAt: number;
}

/**
 * Answers the shim, by the same code as the standalone executable. What arrived together is served
 * together, so that DELs share one wait of the kernel; while one batch is served the next gathers in
 * the sockets. Only root is served. Descriptors are closed on every path.
 */
export class CniServer {
  readonly #options: CniServerOptions;
  readonly #server: UnixServer;
  #pending: Pending[] = [];
  /** Those whose call waits for something else than its turn. */
  readonly #waiting = new Set<UnixConnection>();

  private constructor(options: CniServerOptions) {
    this.#options = options;
    mkdirSync(dirname(options.path), { recursive: true, mode: 0o755 });
    this.#server = UnixServer.listen(options.path, {
      mode: 0o600,
      most: options.most,
      log: options.log,
      onConnection: (connection) => this.#accept(connection),
    });
  }

  static listen(options: CniServerOptions): CniServer {
    return new CniServer(options);
  }

  /** Stops listening; a shim that comes now runs the standalone. */
  close(): void {
    this.#server.close();
  }

  #accept(connection: UnixConnection): void {
    const { log, clock } = this.#options;
    if (connection.peer.uid !== 0) {
      log.warn({ peer: connection.peer }, 'cni connection refused');
      connection.destroy();
      return;
    }
    const reader = new FrameReader();
    const fds: number[] = [];
    let isComplete = false;
    const cancelTimeout = clock.schedule(REQUEST_TIMEOUT_MS, () => {
      log.warn({ peer: connection.peer }, 'cni request timed out');
      connection.destroy();
    });
    connection.onClose(() => {
      cancelTimeout();
      this.#pending = this.#pending.filter((pending) => pending.connection !== connection);
      this.#waiting.delete(connection);
      for (const fd of fds.splice(0)) closeSync(fd);
    });
    connection.onDescriptors((received) => {
      fds.push(...received);
      // A call has one namespace.
      for (const fd of fds.splice(1)) closeSync(fd);
    });
    connection.onData((bytes) => {
      if (isComplete) return;
      isComplete = this.#receive(connection, reader, bytes, fds);
      if (isComplete) cancelTimeout();
    });
  }

  /** True when nothing more is expected of the connection. */
  #receive(connection: UnixConnection, reader: FrameReader, bytes: Buffer, fds: number[]): boolean {
    try {
      const payload = reader.push(bytes);
      if (payload === undefined) return false;
      this.#enqueue(connection, decodeRequest(payload), fds);
    } catch (thrown) {
      this.#options.log.warn({ err: thrown }, 'cni request is malformed');
      answer(connection, failure(thrown));
    }
    return true;
  }

  #enqueue(connection: UnixConnection, request: ShimRequest, fds: number[]): void {
    connection.beginWork();
    const pending = { connection, request, fds, receivedAt: this.#options.clock.elapsed() };
    const wait = this.#options.waitFor?.(request.env);
    if (wait === undefined) {
      this.#queue(pending);
      return;
    }
    this.#waiting.add(connection);
    void wait.then(() => {
      // Whose caller has gone meanwhile is not served.
      if (this.#waiting.delete(connection)) this.#queue(pending);
    });
  }

  #queue(pending: Pending): void {
    this.#pending.push(pending);
    if (this.#pending.length === 1) setImmediate(() => this.#serve());
  }

  #serve(): void {
    const batch = this.#pending.splice(0);
    const outcomes = runVerbs(batch.map(invocationOf), this.#options.node);
    for (const [index, outcome] of outcomes.entries()) {
      const pending = batch[index];
      if (pending === undefined) continue;
      answer(pending.connection, outcome);
      this.#report(pending, outcome);
    }
  }

  #report({ request, receivedAt }: Pending, outcome: Outcome): void {
    const { log, clock, onServed } = this.#options;
    const elapsedMs = clock.elapsed() - receivedAt;
    const { verb, errorCode } = outcome.summary ?? {};
    const level = errorCode === undefined ? 'info' : 'error';
    log[level](logFields(request.env, outcome, Math.round(elapsedMs)), messageOf(outcome));
    onServed?.(verb ?? 'other', errorCode ?? 0, elapsedMs / 1000);
  }
}

function invocationOf({ connection, request, fds }: Pending): Invocation {
  const { env, stdin, netnsError } = request;
  const fd = fds.shift();
  return {
    env,
    readStdin: () => stdin,
    isCallerGone: () => connection.isPeerGone(),
    netns: fd === undefined ? { error: netnsError ?? 'no descriptor was passed' } : { fd },
  };
}

function answer(connection: UnixConnection, outcome: Outcome): void {
  connection.write(encodeAnswer(outcome));
  connection.end();
}

/** Everything a later question about this call starts from. */
function logFields(env: Environment, { summary, stderr }: Outcome, elapsedMs: number): object {
  const { podNamespace, podName, podUid } = podOf(env['CNI_ARGS'] ?? '');
  return {
    verb: summary?.verb ?? env['CNI_COMMAND'],
    plugin: summary?.plugin,
    network: summary?.network,
    containerId: env['CNI_CONTAINERID'],
    ifName: env['CNI_IFNAME'],
    podNamespace,
    pod: podName,
    podUid,
    ips: summary?.ips,
    elapsedMs,
    errorCode: summary?.errorCode,
    error: summary?.error,
    note: stderr === '' ? undefined : stderr.trimEnd(),
    traceparent: env['TRACEPARENT'],
  };
}

function messageOf({ exitCode, summary }: Outcome): string {
  if (exitCode === RUN_STANDALONE) return 'cni request left to the standalone';
  return summary?.errorCode === undefined ? 'cni request served' : 'cni request failed';
}
