import type { NodeRtnl } from '../../kernel/types.ts';
import { Audit, type AuditedPart, type AuditFinding, type AuditReport } from '../../util/audit.ts';
import type { Clock } from '../../util/clock.ts';
import { errorCode, toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { attachmentKey, attachmentLabel } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { linkAddress } from '../bridge/gateway-addresses.ts';
import { openPlace } from '../machine.ts';
import { type UpkeepNode, withRtnl } from '../node.ts';
import { type Inside, type InsideDifference, insideDifferences } from './inside-model.ts';
import { livingRecords, type RepairKind } from './repair-model.ts';

export interface InsideUpkeepOptions {
  readonly node: UpkeepNode;
  readonly bootId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: {
    repaired(kind: RepairKind): void;
    differed(count: number): void;
  };
  /** How long a walk over all pods takes; default four minutes. */
  readonly walkMs?: number;
}

/** Opening a namespace and reading from it takes up to 1 ms. */
const PODS_PER_LOOK = 4;
/** For people; the rest is counted. */
const MOST_NAMED = 5;

interface Found {
  readonly record: AttachmentRecord;
  readonly differences: readonly InsideDifference[];
}

/**
 * Compares what is inside of pods with their records, slowly: nobody tells of changes there. What was
 * seen in place and is missing comes back; everything else is the pod's own business, or a later
 * plugin's, and is told once.
 */
export class InsideUpkeep {
  readonly #options: InsideUpkeepOptions;
  readonly #audit: Audit;
  /** By attachment: what was lacking when it was first looked at, or could not be put back. */
  readonly #accepted = new Map<string, ReadonlySet<string>>();
  /** By attachment: what was told, and stands. */
  readonly #standing = new Map<string, readonly string[]>();
  /** Of the last look. */
  #found: readonly Found[] = [];

  private constructor(options: InsideUpkeepOptions) {
    const { clock, log, walkMs } = options;
    this.#options = options;
    this.#audit = new Audit({
      clock,
      ...(walkMs === undefined ? {} : { walkMs }),
      parts: () => this.#parts(),
      onDifference: (finding, isNews) => this.#settle(finding, isNews),
      onError: (what, err) => log.debug({ what, err }, 'pods not compared'),
    });
  }

  static start(options: InsideUpkeepOptions): InsideUpkeep {
    const upkeep = new InsideUpkeep(options);
    upkeep.#audit.start();
    return upkeep;
  }

  /** Undefined while there is no pod. */
  get audited(): AuditReport | undefined {
    return this.#audit.hasParts ? this.#audit.report : undefined;
  }

  /** What differs and is left as it is, a line for each pod, and how many more there are. */
  differing(): readonly string[] {
    const lines = [...this.#standing.values()].map((words) => words.join(', '));
    const more = lines.length - MOST_NAMED;
    const named = lines.slice(0, MOST_NAMED);
    return more > 0 ? [...named, `and ${more} more pods that differ from their records`] : named;
  }

  async close(): Promise<void> {
    await this.#audit.stop();
  }

  #parts(): readonly AuditedPart[] {
    const keys = this.#options.node.records.keys();
    const living = new Set(keys);
    for (const known of [this.#accepted, this.#standing]) {
      for (const key of [...known.keys()]) if (!living.has(key)) known.delete(key);
    }
    return Array.from({ length: Math.ceil(keys.length / PODS_PER_LOOK) }, (_, at) => {
      const own = keys.slice(at * PODS_PER_LOOK, (at + 1) * PODS_PER_LOOK);
      return { what: 'inside of pods', look: async () => this.#look(own) };
    });
  }

  /** Counts what is news: what is to come back, and what was not told yet. */
  #look(keys: readonly string[]): number {
    this.#found = livingRecords(this.#options, keys).flatMap((record) => {
      const differences = this.#compare(record);
      return differences === undefined ? [] : [{ record, differences }];
    });
    return this.#found.reduce((sum, found) => sum + this.#newsOf(found), 0);
  }

  #newsOf({ record, differences }: Found): number {
    const key = attachmentKey(record.attachment);
    const words = linesOf(record, differences);
    const told = (this.#standing.get(key) ?? []).filter((line) => words.includes(line));
    if (told.length === 0) this.#standing.delete(key);
    else this.#standing.set(key, told);
    this.#accept(key, differences);
    return differences.filter((each, at) => {
      return this.#mayRestore(key, each) || !told.includes(words[at] ?? '');
    }).length;
  }

  /** What is in place again is not accepted any more; a link that is down says nothing of the rest. */
  #accept(key: string, differences: readonly InsideDifference[]): void {
    const lacking = differences.filter(({ restore }) => restore !== undefined);
    if (lacking.length === 0 && differences.length > 0) return;
    const known = this.#accepted.get(key);
    const accepted = lacking.map(({ what }) => what).filter((what) => known?.has(what) ?? true);
    this.#accepted.set(key, new Set(accepted));
  }

  /** Undefined where there is nothing to compare, or the pod is gone. */
  #compare(record: AttachmentRecord): readonly InsideDifference[] | undefined {
    const { inside } = record;
    if (inside === undefined) return undefined;
    const found = this.#inside(record, (read) => read);
    return found && insideDifferences(found, inside, record.plan?.host.senders);
  }

  /** What was never seen in place, somebody has taken away on purpose: a plugin behind us in the chain. */
  #mayRestore(key: string, { what, restore }: InsideDifference): boolean {
    return restore !== undefined && this.#accepted.get(key)?.has(what) === false;
  }

  /** Undefined when the namespace at the path is not that of the record any more. */
  #inside<T>(
    { netns: place, attachment }: AttachmentRecord,
    use: (inside: Inside, rtnl: NodeRtnl) => T,
  ): T | undefined {
    const { kernel } = this.#options.node;
    const netns = openPlace(kernel.netnses, place);
    if (netns === undefined) return undefined;
    try {
      return withRtnl(kernel, netns, (rtnl) => {
        const link = rtnl.link(attachment.ifName);
        const addresses = link === undefined ? [] : rtnl.addresses(link.index);
        return use({ link, addresses, routes: [...rtnl.routes(4), ...rtnl.routes(6)] }, rtnl);
      });
    } finally {
      netns.close();
    }
  }

  #settle({ what, differences }: AuditFinding, isNews: boolean): void {
    const { log, metrics } = this.#options;
    metrics.differed(differences);
    for (const { record, differences: all } of this.#found) {
      if (all.length === 0) continue;
      const key = attachmentKey(record.attachment);
      const toRestore = all.filter((each) => this.#mayRestore(key, each));
      const restored = toRestore.length === 0 ? [] : this.#restore(record, toRestore);
      for (const each of restored) metrics.repaired('address' in each ? 'podAddress' : 'podRoute');
      const left = all.filter(
        ({ restore }) => restore === undefined || !restored.includes(restore),
      );
      const words = linesOf(record, left);
      if (left.length > 0) this.#standing.set(key, words);
      this.#accepted.set(key, new Set(left.map((each) => each.what)));
      const lines = linesOf(record, all);
      log[isNews ? 'warn' : 'debug'](
        { what, differs: lines.slice(0, MOST_NAMED), restored: restored.length },
        'a pod differs from its record',
      );
    }
  }

  #restore(
    record: AttachmentRecord,
    wanted: readonly InsideDifference[],
  ): readonly NonNullable<InsideDifference['restore']>[] {
    const { log } = this.#options;
    const restores = wanted.flatMap(({ restore }) => restore ?? []);
    const done = this.#inside(record, ({ link }, rtnl) => {
      if (link === undefined) return [];
      return restores.filter((each) => {
        try {
          if ('address' in each) rtnl.addAddress(link.index, linkAddress(each.address));
          else rtnl.addRoute({ ...each.route, link: link.index });
          return true;
        } catch (thrown) {
          const reason = errorCode(thrown) ?? toError(thrown).message;
          log.warn({ pod: attachmentLabel(record.attachment), reason }, 'not put back into a pod');
          return false;
        }
      });
    });
    return done ?? [];
  }
}

function linesOf({ attachment }: AttachmentRecord, differences: readonly InsideDifference[]) {
  return differences.map(({ what }) => `${attachmentLabel(attachment)}: ${what}`);
}
