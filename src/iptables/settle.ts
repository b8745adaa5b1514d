/**
 * Rules that others change too: what a listing shows is acted on at once, and when somebody was
 * faster, the next listing shows what is left to do.
 */
import { BusyError, toError } from '../util/errors.ts';

/** A change that a listing asks for. */
export interface Step<T> {
  /** The same for a change that does the same. */
  readonly key: string;
  readonly apply: () => T;
}

/** Bounds the race with others who change the same rules. */
const MAX_ATTEMPTS = 5;

/**
 * Applies the step that `next` finds, undefined when there is nothing to do; a step that fails is
 * looked for again. True when one was applied. Throws what a step failed with when the same is asked
 * for again, because nobody was faster then; BusyError when there is no end to it.
 */
export function settleSync(subject: string, next: () => Step<void> | undefined): boolean {
  const attempts = new Attempts(subject);
  for (let step = next(); step !== undefined; step = next()) {
    attempts.begin(step);
    try {
      step.apply();
      return true;
    } catch (thrown) {
      attempts.fail(step, thrown);
    }
  }
  return false;
}

/** The same with a listing and a change that are waited for. */
export async function settle(
  subject: string,
  next: () => Promise<Step<Promise<void>> | undefined>,
): Promise<boolean> {
  const attempts = new Attempts(subject);
  for (let step = await next(); step !== undefined; step = await next()) {
    attempts.begin(step);
    try {
      await step.apply();
      return true;
    } catch (thrown) {
      attempts.fail(step, thrown);
    }
  }
  return false;
}

class Attempts {
  readonly #subject: string;
  #count = 0;
  #failed: { readonly key: string; readonly cause: Error } | undefined;

  constructor(subject: string) {
    this.#subject = subject;
  }

  begin({ key }: Step<unknown>): void {
    if (key === this.#failed?.key) throw this.#failed.cause;
    if (this.#count === MAX_ATTEMPTS) {
      throw new BusyError(`${this.#subject} keep changing`, { cause: this.#failed?.cause });
    }
    this.#count += 1;
  }

  fail({ key }: Step<unknown>, thrown: unknown): void {
    this.#failed = { key, cause: toError(thrown) };
  }
}
