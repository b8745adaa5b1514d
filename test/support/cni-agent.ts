/** cni-agent.ts: serves the shim on WEFT_RUN_DIR until it is ended; prints `ready`. */
import { openLocalNode } from '../../src/cni/local-node.ts';
import { CniServer } from '../../src/cni/server.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';

const runDirectory = process.env['WEFT_RUN_DIR'] ?? '';
CniServer.listen({
  most: 256,
  path: `${runDirectory}/cni.sock`,
  node: openLocalNode({ runDirectory, isLongLived: true, version: 'test' }),
  clock: systemClock,
  log: createLogger('info'),
});
process.stdout.write('ready\n');
