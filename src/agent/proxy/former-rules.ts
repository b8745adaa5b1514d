/**
 * Switching modes is make before break: rules of another mode serve until those of the running one
 * do. While both are there the first to translate a connection has it, and both would do the same.
 */
import type { IPFamily } from '../../net/ip.ts';
import { afterFirstCommit, type FirstCommits } from '../../proxy/after-first-commit.ts';
import type { CommitListener } from '../../proxy/commit-listener.ts';
import { DrainingError } from '../../proxy/modes/ipvs/cleanup.ts';
import type { RulesKind } from '../../proxy/modes/names.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';

export interface FormerRulesOptions {
  /** The rules of the running mode. */
  readonly own: RulesKind;
  /** What is on record of the agents before. */
  readonly recorded: ReadonlySet<RulesKind>;
  readonly families: readonly IPFamily[];
  /** True when there was something. */
  readonly remove: (kind: RulesKind, family: IPFamily) => Promise<boolean>;
  /** Puts on record what is there, or may be. */
  readonly record: (kinds: ReadonlySet<RulesKind>) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

const RETRY_MS = 30_000;

/** Removes the rules of other modes, by family, after the first commit of ours. */
export class FormerRules implements CommitListener {
  readonly #options: FormerRulesOptions;
  /** Families of which rules of a kind are left. */
  readonly #left: ReadonlyMap<RulesKind, Set<IPFamily>>;
  readonly #commits: FirstCommits;

  /** Puts on record that rules of `own` may be there from here on. Throws IoError. */
  constructor(options: FormerRulesOptions) {
    this.#options = options;
    const kinds = formerKinds(options.own, options.recorded);
    this.#left = new Map(kinds.map((kind) => [kind, new Set(options.families)]));
    // One family after the other: programs of iptables wait for each other's lock.
    this.#commits = afterFirstCommit((family) => this.#removeAll(family), options.clock);
    options.record(new Set([options.own, ...options.recorded]));
  }

  programming(): void {}

  committed(family: IPFamily): void {
    this.#commits.committed(family);
  }

  /** Kinds of rules that are not removed yet. */
  get left(): readonly RulesKind[] {
    return [...this.#left].filter(([, families]) => families.size > 0).map(([kind]) => kind);
  }

  /** Waits for the removal in progress. */
  async close(): Promise<void> {
    await this.#commits.close();
  }

  /** When to try again, if something is left. */
  async #removeAll(family: IPFamily): Promise<number | undefined> {
    const { log } = this.#options;
    let isDone = true;
    for (const [kind, families] of this.#left) {
      if (!families.has(family)) continue;
      try {
        await this.#remove(kind, family);
        families.delete(family);
      } catch (thrown) {
        const reason = toError(thrown).message;
        const facts = { rules: kind, family, reason };
        if (thrown instanceof DrainingError) log.info(facts, 'rules of the former mode drain');
        else log.warn(facts, 'rules of the former mode not removed');
        isDone = false;
      }
    }
    if (!isDone) return RETRY_MS;
    this.#recordWhatIsLeft();
    return undefined;
  }

  async #remove(kind: RulesKind, family: IPFamily): Promise<void> {
    const { log, remove } = this.#options;
    if (await remove(kind, family)) {
      log.info({ rules: kind, family }, 'rules of the former mode removed');
    }
  }

  #recordWhatIsLeft(): void {
    const { log, own, record } = this.#options;
    try {
      record(new Set([own, ...this.left]));
    } catch (thrown) {
      log.warn({ reason: toError(thrown).message }, 'removed rules stay on record');
    }
  }
}

/** Tables of the name weft-proxy are ours with or without a record. */
function formerKinds(own: RulesKind, recorded: ReadonlySet<RulesKind>): readonly RulesKind[] {
  const kinds = new Set<RulesKind>(['nftables', ...recorded]);
  kinds.delete(own);
  return [...kinds];
}
