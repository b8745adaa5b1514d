/**
 * cni-upkeep-agent.ts: serves the shim on WEFT_RUN_DIR and takes care of attachments until it is
 * ended. Prints one JSON line per event: `ready`, and each thing that was removed or repaired.
 */
import { createInterface } from 'node:readline';
import { stoppedCallsOf } from '../../src/agent/sysctl-record.ts';
import { openLocalNode } from '../../src/cni/local-node.ts';
import { readBootId } from '../../src/cni/machine.ts';
import { CniServer } from '../../src/cni/server.ts';
import { InsideUpkeep } from '../../src/cni/upkeep/inside-upkeep.ts';
import { Upkeep } from '../../src/cni/upkeep/upkeep.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';

const { env } = process;
const runDirectory = env['WEFT_RUN_DIR'] ?? '';
const criSocket = env['WEFT_TEST_CRI'];
const local = openLocalNode({ runDirectory, isLongLived: true, version: 'test' });
// Programs nothing: what is tested is the way that packets take.
const policies = { admit: () => undefined, check: () => undefined };
const node = env['WEFT_TEST_POLICY'] === undefined ? local : { ...local, policies };
const log = createLogger('info');
const tell = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`);

CniServer.listen({ most: 256, path: `${runDirectory}/cni.sock`, node, clock: systemClock, log });
const upkeep = Upkeep.start({
  node,
  onBypasses: (bypasses) => tell({ bypasses: bypasses.map(({ what }) => what) }),
  events: openNodeEvents(),
  runDirectory,
  ipamDirectory: env['WEFT_TEST_IPAM_DIR'] ?? '',
  confDirectory: env['WEFT_TEST_CONF_DIR'] ?? '/nonexistent',
  ...(criSocket === undefined ? {} : { criSocket }),
  clock: systemClock,
  log,
  stoppedCalls: stoppedCallsOf(runDirectory, readBootId()),
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
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'switch') void upkeep.sameNode.switchSameNode().then(() => tell({ done: line }));
});
InsideUpkeep.start({
  ...{ node, bootId: readBootId(), clock: systemClock, log },
  metrics: {
    repaired: (kind) => tell({ repaired: kind }),
    differed: (count) => tell({ differed: count }),
  },
  walkMs: Number(env['WEFT_TEST_REPAIR_MS'] ?? 60_000),
});
tell({ ready: true });
