import type { Clock } from './clock.ts';

/** Of a long list, the first few say enough. */
const MOST_NAMED = 5;

/** The first few of what is wrong, and how many more there are: one object can have 100,000 mistakes. */
export function summarized(problems: readonly string[]): readonly string[] {
  if (problems.length <= MOST_NAMED + 1) return problems;
  const rest = problems.length - MOST_NAMED;
  return [...problems.slice(0, MOST_NAMED), `and ${rest} more`];
}

/** Remembers what was said of each object, so that an update that keeps a mistake is no news. */
export class Complaints {
  readonly #said = new Map<string, string>();

  /**
   * The problems, summarized, unless these were said of the object before; none when it has none, or
   * is gone.
   */
  news(object: string, problems: readonly string[]): readonly string[] {
    const short = summarized(problems);
    const text = short.join('; ');
    if (text === (this.#said.get(object) ?? '')) return [];
    if (text === '') this.#said.delete(object);
    else this.#said.set(object, text);
    return short;
  }
}

/** Kinds that are counted. When there are more, counting starts over for all of them. */
const MOST_KINDS = 10_000;

/** Lets the first few complaints of a kind through: one Service can have 65,535 ports that fail. */
export class FirstFew {
  readonly #counts = new Map<string, number>();

  /** `last`: say this one, and that further ones will not be said. */
  pass(kind: string): 'said' | 'last' | 'unsaid' {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    if (count > MOST_NAMED) return 'unsaid';
    if (this.#counts.size >= MOST_KINDS) this.#counts.clear();
    this.#counts.set(kind, count);
    return count === MOST_NAMED ? 'last' : 'said';
  }
}

/** Lets the same words through once in a while, and other words at once. */
export class Reminder {
  readonly #clock: Clock;
  readonly #everyMs: number;
  #words = '';
  #saidAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, everyMs: number) {
    this.#clock = clock;
    this.#everyMs = everyMs;
  }

  /** Whether to say it now; then it counts as said. */
  isDue(words: string): boolean {
    const now = this.#clock.elapsed();
    if (words === this.#words && now - this.#saidAtMs < this.#everyMs) return false;
    this.#words = words;
    this.#saidAtMs = now;
    return true;
  }
}
