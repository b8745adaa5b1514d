/**
 * policy-churner.ts NODE: an Enforcer of the namespace that this runs in. Reads one JSON line
 * {"first": PolicyChange[], "turns": PolicyChange[][]}, puts the first into the kernel, prints `ready`, and
 * goes through the turns again and again, each committed, until it is killed.
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { NftablesConnection } from '../../../src/nftables/connection.ts';
import type { PolicyChange } from '../../../src/policy/change.ts';
import { createEnforcer } from '../policy-enforcer.ts';

const [nodeName = ''] = process.argv.slice(2);
const [line] = await once(createInterface({ input: process.stdin }), 'line');
// The test writes exactly this shape.
const { first, turns } = JSON.parse(line) as {
  readonly first: readonly PolicyChange[];
  readonly turns: readonly (readonly PolicyChange[])[];
};
const enforcer = createEnforcer({ connection: NftablesConnection.open(), nodeName });
for (const change of first) enforcer.apply(change);
enforcer.setSynced();
enforcer.commit();
process.stdout.write('ready\n');
for (let turn = 0; ; turn += 1) {
  for (const change of turns[turn % turns.length] ?? []) enforcer.apply(change);
  enforcer.commit();
  // The kernel's events have their turn.
  await new Promise(setImmediate);
}
