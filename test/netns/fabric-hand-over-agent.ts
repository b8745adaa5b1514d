/**
 * fabric-hand-over-agent.ts: serves the shim on WEFT_RUN_DIR, takes care of attachments, and has a
 * fabric that masquerades their pods. Reads lines from stdin: `on`, `off` (the fabric goes on without
 * masquerade), `gone` (the table goes). Prints a JSON line per event, `done` after each line read.
 */
import { createInterface } from 'node:readline';
import { openPodMasquerade } from '../../src/agent/pod-masquerade.ts';
import { openLocalNode } from '../../src/cni/local-node.ts';
import { CniServer } from '../../src/cni/server.ts';
import { Upkeep } from '../../src/cni/upkeep/upkeep.ts';
import { FabricTable } from '../../src/fabric/table/fabric-table.ts';
import type { FabricTableFacts } from '../../src/fabric/table/facts.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';

const { env } = process;
const runDirectory = env['WEFT_RUN_DIR'] ?? '';
const log = createLogger('info');
const events = openNodeEvents();
const tell = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`);

const masquerade = openPodMasquerade(true);
const node = openLocalNode({
  runDirectory,
  isLongLived: true,
  version: 'test',
  isMasqueradedElsewhere: masquerade.isFabrics,
});
CniServer.listen({ most: 256, path: `${runDirectory}/cni.sock`, node, clock: systemClock, log });
const upkeep = Upkeep.start({
  node,
  events,
  runDirectory,
  ipamDirectory: env['WEFT_TEST_IPAM_DIR'] ?? '',
  confDirectory: '/nonexistent',
  clock: systemClock,
  log,
  stoppedCalls: { read: () => [], add: () => {}, remove: () => {} },
  metrics: {
    leaked: (kind) => tell({ leaked: kind }),
    suspected: () => {},
    repaired: (kind) => tell({ repaired: kind }),
    differed: () => {},
  },
});
masquerade.serve(upkeep);
const table = new FabricTable({
  connection: NftablesConnection.open(),
  events,
  clock: systemClock,
  log,
  onRepair: (by) => tell({ fabricRepaired: by }),
});

const FACTS: FabricTableFacts = {
  tunnel: undefined,
  podCIDRs: ['10.22.0.0/24', 'fd22::/64'].map(parseCidr),
  masquerade: { direct: ['10.22.0.0/16', '198.51.100.0/24'].map(parseCidr), families: [4, 6] },
};
const DO: Readonly<Record<string, () => unknown>> = {
  on: () => masquerade.sync(table, FACTS),
  off: () => masquerade.sync(table, { ...FACTS, masquerade: undefined }),
  gone: () => masquerade.remove(table),
};

tell({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  DO[line]?.();
  tell({ done: line });
}
