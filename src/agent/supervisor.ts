import type { Clock } from '../util/clock.ts';
import { toError } from '../util/errors.ts';
import type { Logger } from '../util/log.ts';

export interface SupervisorOptions {
  readonly pid: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** One datagram to a socket of the file system, or with `@` of the abstract namespace. */
  readonly send: (path: string, text: string) => void;
}

export interface Supervisor {
  /** The agent has started; from now on its event loop proves that it turns. */
  ready(): void;
  close(): void;
}

const MICROSECONDS_PER_MS = 1_000;

/**
 * Tells systemd how the agent is (sd_notify(3)): READY, then WATCHDOG twice as often as is asked for, at
 * the end STOPPING. Takes the variables out of `environment`, so that no child speaks for the agent.
 * Without NOTIFY_SOCKET nobody is told.
 */
export function openSupervisor(
  environment: Record<string, string | undefined>,
  { pid, clock, log, send }: SupervisorOptions,
): Supervisor {
  const { NOTIFY_SOCKET: path, WATCHDOG_USEC: period, WATCHDOG_PID: watched } = environment;
  for (const key of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[key];
  if (!path) return { ready: () => {}, close: () => {} };
  let isTold = false;
  const tell = (text: string) => {
    try {
      send(path, text);
    } catch (thrown) {
      // The same every few seconds is one line.
      if (!isTold) log.warn({ reason: toError(thrown).message }, 'systemd not told');
      isTold = true;
    }
  };
  const isWatched = watched === undefined || Number(watched) === pid;
  const everyMs = isWatched ? Number(period ?? 0) / MICROSECONDS_PER_MS / 2 : 0;
  let cancel = () => {};
  const prove = () => {
    tell('WATCHDOG=1');
    cancel = clock.schedule(everyMs, prove);
  };
  return {
    ready: () => {
      tell('READY=1');
      if (everyMs > 0) prove();
    },
    close: () => {
      cancel();
      tell('STOPPING=1');
    },
  };
}
