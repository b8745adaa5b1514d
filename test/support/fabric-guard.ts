/** Table `inet weft-fabric` of a node, kept as the agent does where no CNI plugin masquerades. */

import { FABRIC_SETTINGS, type FabricSettings } from '../../src/agent/config/fabric-settings.ts';
import { fillTable } from '../../src/agent/config/setting.ts';
import { tableFactsReader } from '../../src/agent/fabric/table-facts.ts';
import type { FabricOptions } from '../../src/fabric/fabric.ts';
import { FabricTable } from '../../src/fabric/table/fabric-table.ts';
import type { NodeEvents } from '../../src/kernel/node-events.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { IP } from '../../src/net/ip.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';

/** What a node has whose file has no section `fabric`; no default has a network to parse. */
const DEFAULTS = fillTable(FABRIC_SETTINGS, {}) as unknown as FabricSettings;

const NOBODY: readonly IP[] = [];

export function openGuard(
  events: Pick<NodeEvents, 'onTables'>,
  netns?: Netns,
): { readonly put: FabricOptions['guard']; close(): Promise<void> } {
  const table = new FabricTable({
    connection: NftablesConnection.open(netns === undefined ? {} : { netns }),
    events,
    clock: systemClock,
    log: createLogger('silent'),
    onRepair: () => undefined,
  });
  const tableFactsOf = tableFactsReader();
  return {
    async put(hood, facts, isPartial) {
      const wanted = tableFactsOf(hood, { ...facts, former: NOBODY }, DEFAULTS, isPartial);
      await table.begin(wanted);
      table.sync(wanted);
      return undefined;
    },
    close: () => table.close(),
  };
}
