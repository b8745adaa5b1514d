/** Child of the process tests: allocates, prints each address, and releases every `keep`-th not. */
import { allocate, release } from '../../../src/ipam/allocate.ts';
import { buildRangeSets } from '../../../src/ipam/range-config.ts';
import { ReservationStore } from '../../../src/ipam/store.ts';
import { wire } from '../../../src/netlink/wire.ts';

const [directory = '', prefix = '', count = '0', mode = 'keep'] = process.argv.slice(2);
const store = new ReservationStore(directory, {
  flock: wire.flock,
  timeoutMs: 30_000,
  keepsIndex: mode === 'churn',
  isDurable: mode === 'churn',
});
const sets = buildRangeSets('1.0.0', { subnet: '10.0.0.0/24' });

process.stdout.write('ready\n');
for (let index = 0; index < Number(count); index++) {
  const owner = { containerId: `${prefix}${index}`, ifName: 'eth0', requested: [] };
  const [allocated] = allocate(sets, store, owner);
  if (mode === 'keep') process.stdout.write(`${allocated?.address}\n`);
  else release(store, owner);
}
