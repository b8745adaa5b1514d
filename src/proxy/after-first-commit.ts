import type { IPFamily } from '../net/ip.ts';
import type { Clock } from '../util/clock.ts';
import type { CommitListener } from './commit-listener.ts';

/** Undefined when it is done for the family, or in how many milliseconds it is to be tried again. */
type Outcome = number | undefined;

/** What is due once the rules of a family serve, whatever stood there before. */
export interface FirstCommits extends CommitListener {
  committed(family: IPFamily): void;
  /** Families that have had their first commit. */
  readonly begun: ReadonlySet<IPFamily>;
  /** Tries again then, and not when it was going to. */
  tryIn(family: IPFamily, delayMs: number): void;
  /** Tries nothing any more, and waits for what is being tried. */
  close(): Promise<void>;
}

/**
 * Tries a job for each family after its first commit, until it is done. A job that takes its time is
 * waited for before the next is tried; it must not fail.
 */
export function afterFirstCommit(
  job: (family: IPFamily) => Outcome | Promise<Outcome>,
  clock: Clock,
): FirstCommits {
  const begun = new Set<IPFamily>();
  const cancels = new Map<IPFamily, () => void>();
  let running: Promise<void> | undefined;
  let isClosed = false;
  const tryIn = (family: IPFamily, delayMs: number) => {
    cancels.get(family)?.();
    if (!isClosed)
      cancels.set(
        family,
        clock.schedule(delayMs, () => attempt(family)),
      );
  };
  const conclude = (family: IPFamily, outcome: Outcome) => {
    if (outcome !== undefined) tryIn(family, outcome);
  };
  const attempt = (family: IPFamily): void => {
    if (running !== undefined) {
      running = running.then(() => perform(family));
      return;
    }
    const done = perform(family);
    if (done === undefined) return;
    running = done;
  };
  const perform = (family: IPFamily): Promise<void> | undefined => {
    if (isClosed) return undefined;
    const outcome = job(family);
    if (outcome instanceof Promise) return outcome.then((late) => conclude(family, late));
    conclude(family, outcome);
    return undefined;
  };
  return {
    begun,
    tryIn,
    programming: () => {},
    committed: (family) => {
      if (begun.has(family)) return;
      begun.add(family);
      attempt(family);
    },
    close: async () => {
      isClosed = true;
      for (const cancel of cancels.values()) cancel();
      await running;
    },
  };
}
