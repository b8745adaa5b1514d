import { setTimeout as sleep } from 'node:timers/promises';
import type { IptablesVariant } from '../../iptables/command.ts';
import {
  findIptables,
  type InstalledPrograms,
  type IptablesPrograms,
  openIptablesPrograms,
} from '../../iptables/programs.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { NftablesConnection } from '../../nftables/connection.ts';
import type { Clock } from '../../util/clock.ts';
import { IoError, joinErrors } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner, type RunnerIntervals } from '../../util/runner.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { masqueradeChain } from '../iptables/chains.ts';
import { hasAsManyRules } from '../iptables/kernel-view.ts';
import { familiesOf } from '../iptables/masquerade.ts';
import type { UpkeepNode } from '../node.ts';
import type { IptablesMasquerade } from '../node-plan.ts';
import { repairIptablesHostPorts } from '../portmap/iptables-repair.ts';
import { healRules } from './iptables-rules.ts';
import { livingRecords, type Repair } from './repair-model.ts';

export interface RulesUpkeepOptions {
  readonly node: UpkeepNode;
  readonly bootId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly intervals: RunnerIntervals;
  /** Stays open. */
  readonly connection: () => Pick<NftablesConnection, 'rules'>;
  /** Told of each thing that was put right, and of the processes that may have been the authors. */
  readonly onRepair: (repair: Repair, by: readonly string[]) => void;
}

/** One table `nat`. */
interface Place {
  readonly variant: IptablesVariant;
  readonly family: IPFamily;
}

const PLACES: readonly Place[] = [
  { variant: 'nft', family: 4 },
  { variant: 'nft', family: 6 },
  { variant: 'legacy', family: 4 },
  { variant: 'legacy', family: 6 },
];

/**
 * Brings back the rules of `ipMasqBackend: iptables`, and of host ports of that back end. The programs are waited for without holding up
 * the thread, and not executed at all while nobody has such rules, or nf_tables has as many as it shall.
 */
export class RulesUpkeep {
  readonly #options: RulesUpkeepOptions;
  readonly #runner: BoundedFrequencyRunner;
  #installed: InstalledPrograms | undefined;
  /** Processes that changed the tables since the last look. */
  #authors = new Set<string>();
  #lastProblem = '';

  constructor(options: RulesUpkeepOptions) {
    const { clock, intervals } = options;
    this.#options = options;
    this.#runner = new BoundedFrequencyRunner(() => this.#look(), {
      ...intervals,
      clock,
      onError: (err) => this.#complain(err),
    });
  }

  /** A table `nat` may have changed. */
  trigger(byProcess?: string): void {
    if (byProcess !== undefined) this.#authors.add(byProcess);
    this.#runner.trigger();
  }

  async stop(): Promise<void> {
    await this.#runner.stop();
  }

  async #look(): Promise<void> {
    const by = [...this.#authors];
    this.#authors = new Set();
    const errors: unknown[] = [];
    const records = livingRecords(this.#options);
    for (const place of PLACES.filter((each) => this.#mayMiss(each, records))) {
      try {
        await this.#heal(place, by);
      } catch (thrown) {
        errors.push(thrown);
      }
    }
    try {
      await this.#healHostPorts(by);
    } catch (thrown) {
      errors.push(thrown);
    }
    const error = joinErrors(errors, 'repair of rules of iptables was not complete');
    if (error !== undefined) throw error;
    this.#lastProblem = '';
  }

  /** Whether a listing is worth it: of iptables-legacy only that tells. */
  #mayMiss(place: Place, records: readonly AttachmentRecord[]): boolean {
    const wanted = masqueradesOf(records, place);
    if (wanted.length === 0) return false;
    const { connection } = this.#options;
    return place.variant === 'legacy' || !hasAsManyRules(connection(), place.family, wanted);
  }

  async #heal(place: Place, by: readonly string[]): Promise<void> {
    const { node, onRepair } = this.#options;
    const { variant, family } = place;
    const healed = await healRules({
      programs: await this.#open(place),
      family,
      wanted: () => masqueradesOf(livingRecords(this.#options), place),
      isBusy: ({ network, containerId }) =>
        node.journal
          .unfinished()
          .some((other) => other.network === network && other.containerId === containerId),
      pause: (ms) => sleep(ms),
    });
    if (healed.length === 0) return;
    const program = `${family === 4 ? 'iptables' : 'ip6tables'}-${variant}`;
    const what = `table nat of ${program}, pods: ${healed.length}`;
    onRepair({ kind: 'masqueradeRules', what }, by);
  }

  async #healHostPorts(by: readonly string[]): Promise<void> {
    const { node, connection, onRepair } = this.#options;
    const { hostPorts: store, kernel } = node;
    if (kernel.iptables === undefined) return;
    const pods = await repairIptablesHostPorts({
      nft: connection(),
      iptables: kernel.iptables,
      store,
    });
    if (pods > 0) onRepair({ kind: 'hostPorts', what: `table nat of iptables, pods: ${pods}` }, by);
  }

  async #open({ variant, family }: Place): Promise<IptablesPrograms> {
    if (this.#installed?.has(variant) !== true) this.#installed = await findIptables();
    if (this.#installed.has(variant)) return openIptablesPrograms(this.#installed, variant, family);
    throw new IoError(
      `pods have rules of iptables-${variant}, which is not installed where the agent runs: ` +
        'install the package iptables there, or nothing brings those rules back',
    );
  }

  /** What stays wrong is told once. */
  #complain(err: Error): void {
    const { log } = this.#options;
    log[err.message === this.#lastProblem ? 'debug' : 'error']({ err }, 'repair failed');
    this.#lastProblem = err.message;
  }
}

/** One per container, whose interfaces on a network share a chain. Pure. */
export function masqueradesOf(
  records: readonly AttachmentRecord[],
  { variant, family }: Place,
): readonly IptablesMasquerade[] {
  const all = records
    .filter(({ iptablesVariant }) => iptablesVariant === variant)
    .flatMap(({ plan }) => plan?.iptablesMasquerade ?? [])
    .filter((each) => familiesOf(each).includes(family));
  const byChain = Map.groupBy(all, ({ owner }) => masqueradeChain(owner));
  return [...byChain.values()].flatMap(([first, ...others]) => {
    if (first === undefined) return [];
    return [{ ...first, entries: [first, ...others].flatMap(({ entries }) => entries) }];
  });
}
