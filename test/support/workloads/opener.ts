/**
 * opener.ts HOST PORT [MS]: opens a new connection every 10 (MS) ms and waits for the server's line; prints
 * `ready` at the first answer and `failed CODE` at each failure; on SIGTERM, once none is under way,
 * prints how many were answered.
 */
import { connect } from 'node:net';

const [host = '', port = '', interval = '10'] = process.argv.slice(2);
const TIMEOUT_MS = 5000;
let answered = 0;
let underWay = 0;

function open(): void {
  underWay += 1;
  const socket = connect({ host, port: Number(port) });
  const finish = (error?: string) => {
    if (error !== undefined) process.stdout.write(`failed ${error}\n`);
    else if (answered++ === 0) process.stdout.write('ready\n');
    underWay -= 1;
    socket.removeAllListeners();
    socket.on('error', () => {});
    socket.destroy();
  };
  socket.setTimeout(TIMEOUT_MS, () => finish('TIMEOUT'));
  socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'ERROR'));
  socket.on('data', () => finish());
  socket.on('end', () => finish('CLOSED'));
}

const timer = setInterval(open, Number(interval));
process.on('SIGTERM', () => {
  clearInterval(timer);
  const waiting = setInterval(() => {
    if (underWay > 0) return;
    clearInterval(waiting);
    process.stdout.write(`answered ${answered}\n`, () => process.exit(0));
  }, 20);
});
