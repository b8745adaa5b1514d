import { TABLES } from '../../../iptables/model.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { type TableEvent, watchTables } from '../../../nftables/monitor.ts';
import type { Clock } from '../../../util/clock.ts';
import type { KernelRules } from './kernel-rules.ts';

export interface DriftOptions {
  readonly clock: Clock;
  /** Where notifications are read; default: the namespace of this process. */
  readonly netns?: { readonly fd: number };
  /** Somebody has changed the rules of a family: `what` names chains and jumps. */
  readonly onDrift: (family: IPFamily, what: readonly string[]) => void;
  readonly onError: (family: IPFamily, error: unknown) => void;
}

/** The legacy interface tells nobody of changes. */
const POLL_MS = { legacy: 5_000, nft: 60_000 } as const;
/** Somebody who changes rules rarely makes one change only. */
const SETTLE_MS = 200;
const MIN_INTERVAL_MS = 1_000;
/** Looking takes longer the more rules there are: it may take this share of the time. */
const MAX_SHARE = 1 / 50;
/** Whoever fights over the rules with us is answered ever more slowly. */
const MAX_INTERVAL_MS = 60_000;

/**
 * Looks whether the rules are as they were written: after notifications where the kernel gives them
 * (nft variant), and from time to time.
 */
export function watchDrift(
  families: ReadonlyMap<IPFamily, KernelRules>,
  options: DriftOptions,
): { close(): void } {
  const watches = Array.from(families, ([family, rules]) => new DriftWatch(family, rules, options));
  const notified = watches.filter(({ rules }) => rules.programs.variant === 'nft');
  const socket =
    notified.length === 0
      ? undefined
      : watchTables(options.netns, (event) => {
          for (const watch of notified) watch.note(event);
        });
  return {
    close() {
      socket?.close();
      for (const watch of watches) watch.close();
    },
  };
}

class DriftWatch {
  readonly rules: KernelRules;
  readonly #family: IPFamily;
  readonly #options: DriftOptions;
  readonly #tables: readonly string[];
  #cancel: (() => void) | undefined;
  #dueAtMs = Number.POSITIVE_INFINITY;
  #notBeforeMs = 0;
  #isLooking = false;
  #isNoted = false;
  #isClosed = false;
  #backOffMs = 0;

  constructor(family: IPFamily, rules: KernelRules, options: DriftOptions) {
    this.rules = rules;
    this.#family = family;
    this.#options = options;
    this.#tables = TABLES.map((table) => `${family === 4 ? 'ip' : 'ip6'} ${table}`);
    this.#lookAt(options.clock.now() + POLL_MS[rules.programs.variant]);
  }

  /** Looks soon, unless the change was our own or is of other tables. */
  note(event: TableEvent | 'overflow'): void {
    if (event !== 'overflow') {
      if (this.rules.programs.isOwnPort(event.byPortId)) return;
      if (!this.#tables.some((table) => event.tables.has(table))) return;
    }
    if (this.#isLooking) this.#isNoted = true;
    else this.#lookAt(Math.max(this.#options.clock.now() + SETTLE_MS, this.#notBeforeMs));
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  #lookAt(dueAtMs: number): void {
    if (this.#isClosed || dueAtMs >= this.#dueAtMs) return;
    this.#cancel?.();
    this.#dueAtMs = dueAtMs;
    const { clock } = this.#options;
    this.#cancel = clock.schedule(Math.max(0, dueAtMs - clock.now()), () => void this.#look());
  }

  async #look(): Promise<void> {
    const { clock, onDrift, onError } = this.#options;
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    this.#isLooking = true;
    this.#isNoted = false;
    const startedAtMs = clock.now();
    try {
      const drift = await this.rules.findDrift();
      if (drift.length > 0 && !this.#isClosed) onDrift(this.#family, drift);
      this.#backOff(drift.length > 0);
    } catch (thrown) {
      onError(this.#family, thrown);
      this.#backOff(true);
    }
    this.#isLooking = false;
    const now = clock.now();
    const pause = Math.max(MIN_INTERVAL_MS, (now - startedAtMs) / MAX_SHARE, this.#backOffMs);
    this.#notBeforeMs = now + pause;
    if (this.#isNoted) this.#lookAt(this.#notBeforeMs);
    this.#lookAt(Math.max(this.#notBeforeMs, now + POLL_MS[this.rules.programs.variant]));
  }

  #backOff(isNeeded: boolean): void {
    const next = Math.max(MIN_INTERVAL_MS, 2 * this.#backOffMs);
    this.#backOffMs = isNeeded ? Math.min(MAX_INTERVAL_MS, next) : 0;
  }
}
