/**
 * fabric-killed-agent.ts NAME: the fabric and the table of one node in a process that is killed at any moment.
 * Nodes come as JSON in WEFT_TEST_NODES. Prints `begins`, and `ready` when all is in the kernel.
 */
import { flushCompileCache } from 'node:module';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import type { Node } from '../../src/kube/types.ts';
import { startFabric } from '../bench/fabric-running.ts';

const [nodeName = ''] = process.argv.slice(2);
// What the test gives, which it has made as Nodes.
const nodes = JSON.parse(process.env['WEFT_TEST_NODES'] ?? '[]') as readonly Node[];
// Who is killed leaves no cache, and each of many would compile everything again.
flushCompileCache();
process.stdout.write('begins\n');
const fabric = startFabric({ events: openNodeEvents(), nodeName });
for (const node of nodes) fabric.put(node);
fabric.synced();
await fabric.settled(({ isReady }) => isReady);
process.stdout.write('ready\n');
setInterval(() => undefined, 1_000);
