/**
 * knock.ts HOST:PORT...: opens a new connection to each address in turn, one every few milliseconds,
 * and waits for the server's greeting; on SIGTERM prints JSON: how many were greeted, and the failures.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface KnockResult {
  readonly greeted: number;
  /** `<address>: <error code>`, and how often. */
  readonly failures: Readonly<Record<string, number>>;
}

const PAUSE_MS = 4;
const TIMEOUT_MS = 2000;
const addresses = process.argv.slice(2);
const failures: Record<string, number> = {};
let greeted = 0;
let isOver = false;

function knock(address: string): Promise<void> {
  const [host = '', port = ''] = address.split(/:(?=\d+$)/);
  return new Promise((resolve) => {
    const socket = connect({ host: host.replace(/^\[|\]$/g, ''), port: Number(port) });
    const finish = (failure?: string) => {
      if (failure === undefined) greeted++;
      else failures[`${address}: ${failure}`] = (failures[`${address}: ${failure}`] ?? 0) + 1;
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.destroy();
      resolve();
    };
    socket.setTimeout(TIMEOUT_MS, () => finish('TIMEOUT'));
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'ERROR'));
    socket.on('data', () => finish());
    socket.on('end', () => finish('CLOSED'));
  });
}

process.on('SIGTERM', () => {
  isOver = true;
});
process.stdout.write('ready\n');
for (let n = 0; !isOver; n++) {
  await knock(addresses[n % addresses.length] ?? '');
  await sleep(PAUSE_MS);
}
const result: KnockResult = { greeted, failures };
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
