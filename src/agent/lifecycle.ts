import type { Clock } from '../util/clock.ts';
import { toError } from '../util/errors.ts';
import type { Logger } from '../util/log.ts';

/** The part of `process` that a lifecycle needs. */
export interface ProcessEvents {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
  exit(code: number): void;
}

export interface LifecycleOptions {
  readonly process: ProcessEvents;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long all closers together may take; below Kubernetes' 30 s grace period. */
  readonly deadlineMs?: number;
}

interface Closer {
  readonly name: string;
  readonly close: () => void | Promise<void>;
}

const DEFAULT_DEADLINE_MS = 10_000;
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;
const FATAL_EVENTS = ['uncaughtException', 'unhandledRejection'] as const;

/**
 * From start to exit of a long-lived process. SIGTERM and SIGINT abort `signal`, then run the
 * closers in reverse order of registration, then settle `finished`. Nothing here touches the
 * data plane: rules, routes and links stay, and the next start adopts them. A second signal exits at once
 * with 1. An uncaught exception or unhandled rejection is logged as fatal and exits with 1
 * without closing anything, because the state is unknown; a supervisor restarts the agent.
 */
export class Lifecycle {
  /** Settles with the exit code once everything is closed. */
  readonly finished: Promise<number>;
  readonly #options: LifecycleOptions;
  readonly #root = new AbortController();
  readonly #closers: Closer[] = [];
  readonly #listeners = new Map<string, (...args: unknown[]) => void>();
  #finish: (code: number) => void = () => undefined;
  #isStopping = false;

  constructor(options: LifecycleOptions) {
    this.#options = options;
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
    for (const name of STOP_SIGNALS) this.#listen(name, () => this.#onSignal(name));
    for (const name of FATAL_EVENTS) this.#listen(name, (thrown) => this.#onFatal(name, thrown));
  }

  /** Aborted when shutdown begins. */
  get signal(): AbortSignal {
    return this.#root.signal;
  }

  /** A controller for one owner: aborted with the process or on its own. */
  child(): AbortController {
    const controller = new AbortController();
    const abort = () => controller.abort(this.#root.signal.reason);
    if (this.#root.signal.aborted) abort();
    // Removed with the child, so that short-lived owners do not pile up on the root.
    this.#root.signal.addEventListener('abort', abort, { once: true, signal: controller.signal });
    return controller;
  }

  /** Registers something to close at shutdown; later registrations close first. */
  onShutdown(name: string, close: () => void | Promise<void>): void {
    this.#closers.push({ name, close });
  }

  /** Begins the ordered shutdown; further calls change nothing. `finished` tells the end. */
  shutdown(reason: string, code = 0): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const { log } = this.#options;
    log.info({ reason }, 'shutting down');
    this.#root.abort(new Error(`shutting down: ${reason}`));
    this.#closeAll(code).then(
      (finalCode) => this.#end(finalCode),
      (thrown) => this.#onFatal('shutdown', thrown),
    );
  }

  /** Runs every closer to its end or the deadline; a failure changes the code, not the order. */
  async #closeAll(code: number): Promise<number> {
    const { clock, deadlineMs = DEFAULT_DEADLINE_MS, log } = this.#options;
    let finalCode = code;
    let pending = '';
    const closing = async () => {
      for (const { name, close } of this.#closers.toReversed()) {
        pending = name;
        try {
          await close();
        } catch (thrown) {
          log.error({ closing: name, err: toError(thrown) }, 'close failed');
          finalCode = 1;
        }
      }
      return 'closed' as const;
    };
    const late = Promise.withResolvers<'late'>();
    const cancel = clock.schedule(deadlineMs, () => late.resolve('late'));
    const outcome = await Promise.race([closing(), late.promise]);
    cancel();
    if (outcome === 'closed') return finalCode;
    log.error({ closing: pending, deadlineMs }, 'shutdown deadline passed');
    return 1;
  }

  #end(code: number): void {
    for (const [name, listener] of this.#listeners) this.#options.process.off(name, listener);
    this.#options.log.info({ code }, 'stopped');
    this.#finish(code);
  }

  #onSignal(name: string): void {
    if (!this.#isStopping) {
      this.shutdown(name);
      return;
    }
    this.#options.log.warn({ signal: name }, 'second signal, exiting at once');
    this.#options.process.exit(1);
  }

  #onFatal(event: string, thrown: unknown): void {
    this.#options.log.fatal({ event, err: toError(thrown) }, 'fatal error');
    this.#options.process.exit(1);
  }

  #listen(event: string, listener: (...args: unknown[]) => void): void {
    this.#listeners.set(event, listener);
    this.#options.process.on(event, listener);
  }
}
