import { join } from 'node:path';
import type { AttachmentRecords } from '../../cni/attachment-records.ts';
import { readBootId } from '../../cni/machine.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import type { FabricOptions } from '../../fabric/fabric.ts';
import { type DroppedPackets, FabricTable } from '../../fabric/table/fabric-table.ts';
import { type Cidr, containsIP } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import { Audit } from '../../util/audit.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { FabricSettings } from '../config/fabric-settings.ts';
import type { AgentContext } from '../context.ts';
import { ForeignMasqueradeWatch } from './foreign-watch.ts';
import { findFormerPods } from './former-pods.ts';
import { podTraffic } from './pod-traffic.ts';
import { readNatTables } from './read-nat-tables.ts';
import { tableFactsReader } from './table-facts.ts';

const FORMER_ADDRESSES_MS = 60_000;

export interface FabricGuard {
  readonly put: FabricOptions['guard'];
  /** How often somebody else's changes of the table were undone. */
  readonly repairs: () => number;
  readonly dropped: () => DroppedPackets;
  /** Rules of others that masquerade what pods send to each other, in words. */
  readonly masquerades: () => readonly string[];
  /** What is in the kernel stays. */
  close(): Promise<void>;
}

/** Table `inet weft-fabric` of this node, by way of who masquerades its pods; compared now and then. */
export function openFabricGuard(
  { config, clock, log, nodeEvents, podMasquerade, problems }: AgentContext,
  probePort: () => number | undefined,
  settingsNow: () => FabricSettings,
): FabricGuard {
  let repairs = 0;
  const table = new FabricTable({
    connection: NftablesConnection.open(),
    events: nodeEvents,
    clock,
    log: log.child({ component: 'fabric' }),
    onRepair: () => {
      repairs += 1;
    },
  });
  const audit = new Audit({
    clock,
    parts: () => table.auditedParts(),
    onDifference: ({ what, differences }, isNews) => {
      log[isNews ? 'warn' : 'debug']({ what, differences }, 'kernel differs, reading it back');
      table.resync();
    },
    onError: (what, err) => log.debug({ what, err }, 'kernel not compared'),
  });
  audit.start();
  const tableFactsOf = tableFactsReader();
  const former = new FormerAddresses(config.runDir, clock);
  const foreign = new ForeignMasqueradeWatch({ clock, log, read: () => readNatTables() });
  problems.add(() => foreign.problems);
  return {
    put: async (hood, facts, isPartial) => {
      const settings = settingsNow();
      if (!isPartial) foreign.follow(podTraffic(hood, facts, settings.backend));
      try {
        const node = { ...facts, former: former.of(hood.podCIDRs), probePort: probePort() };
        const wanted = tableFactsOf(hood, node, settings, isPartial);
        await table.begin(wanted);
        podMasquerade.sync(table, wanted);
        return undefined;
      } catch (thrown) {
        return `tunnel and masquerade: ${toError(thrown).message}`;
      }
    },
    repairs: () => repairs,
    dropped: () => table.dropped(),
    masquerades: () => foreign.found,
    close: async () => {
      await Promise.all([audit.stop(), foreign.close()]);
      await table.close();
    },
  };
}

/** Addresses of pods that no podCIDR holds, read when podCIDRs change and, while there are any, each minute. */
class FormerAddresses {
  readonly #records: AttachmentRecords;
  readonly #clock: Clock;
  #of: string | undefined;
  #readAtMs = 0;
  #addresses: readonly IP[] = [];

  constructor(runDirectory: string, clock: Clock) {
    const path = join(runDirectory, 'attachments');
    this.#records = openRecords(path, { bootId: readBootId, now: () => clock.now() });
    this.#clock = clock;
  }

  of(podCIDRs: readonly Cidr[]): readonly IP[] {
    const text = podCIDRs.join();
    const isStale =
      this.#addresses.length > 0 && this.#clock.elapsed() - this.#readAtMs >= FORMER_ADDRESSES_MS;
    if (text === this.#of && !isStale) return this.#addresses;
    const { outside } = findFormerPods(this.#records.list(), { podCIDRs, mtu: 0 });
    this.#of = text;
    this.#readAtMs = this.#clock.elapsed();
    this.#addresses = outside
      .flatMap(({ addresses }) => addresses)
      .filter((address) => !podCIDRs.some((cidr) => containsIP(cidr, address)));
    return this.#addresses;
  }
}
