/**
 * cni-upkeep-agent.ts: serves the shim on WEFT_RUN_DIR and takes care of attachments until it is
 * ended. Prints one JSON line per event: `ready`, and each thing that was removed or repaired.
 */
import { openLocalNode } from '../../src/cni/local-node.ts';
import { CniServer } from '../../src/cni/server.ts';
import { Upkeep } from '../../src/cni/upkeep/upkeep.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';

const { env } = process;
const runDirectory = env['WEFT_RUN_DIR'] ?? '';
const criSocket = env['WEFT_TEST_CRI'];
const node = openLocalNode({ runDirectory, isLongLived: true, version: 'test' });
const log = createLogger('info');
const tell = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`);

CniServer.listen({ most: 256, path: `${runDirectory}/cni.sock`, node, clock: systemClock, log });
Upkeep.start({
  node,
  events: openNodeEvents(),
  runDirectory,
  ipamDirectory: env['WEFT_TEST_IPAM_DIR'] ?? '',
  confDirectory: env['WEFT_TEST_CONF_DIR'] ?? '/nonexistent',
  ...(criSocket === undefined ? {} : { criSocket }),
  clock: systemClock,
  log,
  metrics: {
    leaked: (kind) => tell({ leaked: kind }),
    suspected: (count) => tell({ suspected: count }),
    repaired: (kind) => tell({ repaired: kind }),
    differed: (count) => tell({ differed: count }),
  },
  gracePeriodMs: Number(env['WEFT_TEST_GRACE_MS'] ?? 300_000),
  repairIntervalMs: Number(env['WEFT_TEST_REPAIR_MS'] ?? 60_000),
  sweepIntervalMs: Number(env['WEFT_TEST_SWEEP_MS'] ?? 60_000),
});
tell({ ready: true });
