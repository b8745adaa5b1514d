/**
 * portmap-claimant.ts DIRECTORY ID PORT ROUNDS: publishes a port in a store and takes it back, again
 * and again, beside other processes; prints how often it had the port while somebody else had it.
 */
import type { HostPortRecord } from '../../src/cni/host-ports.ts';
import { openHostPortStore } from '../../src/cni/portmap/store.ts';
import { parseIP } from '../../src/net/ip.ts';
import { wire } from '../../src/netlink/wire.ts';

const [directory = '', containerId = '', port = '', rounds = ''] = process.argv.slice(2);
const store = openHostPortStore(directory, { flock: wire.flock, timeoutMs: 10_000 });
const target = parseIP('10.0.0.2');
const record: HostPortRecord = {
  attachment: { network: 'net', containerId, ifName: 'eth0' },
  ports: [{ family: 4, protocol: 'tcp', port: Number(port), target, targetPort: 80 }],
  pods: [],
  masquerade: 'none',
};
let wins = 0;
let clashes = 0;
for (let round = 0; round < Number(rounds); round += 1) {
  const isTaken = store.locked((ledger) => {
    if (ledger.conflict(record) !== undefined) return true;
    ledger.add(record);
    return false;
  });
  if (isTaken) continue;
  wins += 1;
  if (store.records().length > 1) clashes += 1;
  store.locked((ledger) => ledger.remove(record));
}
process.stdout.write(`${JSON.stringify({ wins, clashes })}\n`);
