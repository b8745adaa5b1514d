import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import type { EventNote } from '../objects/events.ts';
import { type Finding, type Findings, isBad } from '../status/finding.ts';
import type { Subject } from './check.ts';
import type { CheckedNode } from './checked-node.ts';
import { lookAtNode } from './look.ts';

/** What others ask of the checks of this node. */
export interface NodeChecks {
  /** Looks now, unless somebody has within the last seconds, or is looking. Never rejects. */
  run(): Promise<Findings>;
  /** Those of the last look, if that was a few seconds ago; else looks. */
  recent(): Promise<Findings>;
  /** Those of the last look; undefined before the first. */
  last(): Findings | undefined;
}

export interface NodeChecksOptions {
  readonly subjects: readonly Subject[];
  readonly node: () => CheckedNode;
  readonly clock: Clock;
  readonly log: Logger;
  /** Time between two looks that nobody asked for. */
  readonly intervalMs: number;
  /** A check has turned bad. */
  readonly report: (event: Pick<EventNote, 'type' | 'reason' | 'note'>) => void;
}

/** Whoever asks again within this time is told the same. */
const SAME_MS = 250;
/** Whoever puts something right wants to see it soon. */
const RECENT_MS = 10_000;
/** What components set up at their start is in place by then. */
const FIRST_AFTER_MS = 5_000;

/** Looks at the node now and then and when asked, and tells once what has turned bad. */
export class NodeCheckRunner implements NodeChecks {
  readonly #options: NodeChecksOptions;
  readonly #runner: BoundedFrequencyRunner;
  /** What was told, by check: told again only when it was good in between. */
  readonly #told = new Map<string, Finding['level']>();
  readonly #cancelFirst: () => void;
  #last: Findings | undefined;
  #lastAtMs = Number.NEGATIVE_INFINITY;
  #looking: Promise<Findings> | undefined;

  constructor(options: NodeChecksOptions) {
    this.#options = options;
    const { clock, log, intervalMs } = options;
    this.#runner = new BoundedFrequencyRunner(
      async () => {
        await this.run();
      },
      {
        ...{ minIntervalMs: SAME_MS, retryIntervalMs: intervalMs, maxIntervalMs: intervalMs },
        ...{ clock, onError: (err) => log.warn({ err }, 'node not checked') },
      },
    );
    this.#cancelFirst = clock.schedule(FIRST_AFTER_MS, () => this.#runner.trigger());
  }

  last(): Findings | undefined {
    return this.#last;
  }

  async recent(): Promise<Findings> {
    return this.#last !== undefined && this.#age() < RECENT_MS ? this.#last : this.run();
  }

  async run(): Promise<Findings> {
    if (this.#last !== undefined && this.#age() < SAME_MS) return this.#last;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async close(): Promise<void> {
    this.#cancelFirst();
    await this.#runner.stop();
    await this.#looking;
  }

  #age(): number {
    return this.#options.clock.elapsed() - this.#lastAtMs;
  }

  async #look(): Promise<Findings> {
    const { subjects, node, clock } = this.#options;
    const found = await lookAtNode(subjects, node(), clock);
    this.#last = found;
    this.#lastAtMs = clock.elapsed();
    for (const finding of found.findings) this.#tell(finding);
    return found;
  }

  /** Once for each time that it turns bad; worse is news, better is not. */
  #tell(finding: Finding): void {
    const { check, level, seen, cure } = finding;
    if (!isBad(finding)) {
      if (level === 'ok') this.#told.delete(check);
      return;
    }
    const told = this.#told.get(check);
    if (told === level || told === 'failing') return;
    this.#told.set(check, level);
    const { log, report } = this.#options;
    log.warn({ check, level, seen, cure }, 'a check of the node has turned bad');
    report({ type: 'Warning', reason: 'NodeCheck', note: `${check}: ${seen}; ${cure}` });
  }
}
