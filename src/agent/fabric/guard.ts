import type { FabricOptions } from '../../fabric/fabric.ts';
import { type DroppedPackets, FabricTable } from '../../fabric/table/fabric-table.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import { Audit } from '../../util/audit.ts';
import { toError } from '../../util/errors.ts';
import type { AgentContext } from '../context.ts';
import { ForeignMasqueradeWatch } from './foreign-watch.ts';
import { readNatTables } from './read-nat-tables.ts';
import { tableFacts } from './table-facts.ts';

export interface FabricGuard {
  readonly put: FabricOptions['guard'];
  /** How often somebody else's changes of the table were undone. */
  readonly repairs: () => number;
  readonly dropped: () => DroppedPackets;
  /** What is in the kernel stays. */
  close(): Promise<void>;
}

/** Table `inet weft-fabric` of this node, by way of who masquerades its pods; compared now and then. */
export function openFabricGuard({
  live,
  clock,
  log,
  nodeEvents,
  podMasquerade,
  problems,
}: AgentContext): FabricGuard {
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
  const foreign = new ForeignMasqueradeWatch({ clock, log, read: () => readNatTables() });
  problems.add(() => foreign.problems);
  return {
    put: (hood, facts, isPartial) => {
      foreign.follow(hood);
      try {
        podMasquerade.sync(table, tableFacts(hood, facts, live.current.fabric, isPartial));
        return undefined;
      } catch (thrown) {
        return `tunnel and masquerade: ${toError(thrown).message}`;
      }
    },
    repairs: () => repairs,
    dropped: () => table.dropped(),
    close: async () => {
      await Promise.all([audit.stop(), foreign.close()]);
      await table.close();
    },
  };
}
