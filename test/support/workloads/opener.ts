/**
 * opener.ts HOST PORT [MS [udp|tcp [TIMEOUT [MANY]]]]: opens a new connection every 10 (MS) ms, or asks
 * over UDP from a new port, unless a hundred are under way, and waits for the server's line, 5000 (TIMEOUT)
 * ms at most; prints `ready` at the first answer, `many` at the MANYth and `failed CODE` at each failure;
 * on SIGTERM, once none is under way, prints how many were answered.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

const [host = '', port = '', interval = '10', protocol = 'tcp', limit = '5000', many = '0'] =
  process.argv.slice(2);
const timeoutMs = Number(limit);
/** A server that has to wait for a processor loses no datagram: its buffer takes more than these. */
const MOST_UNDER_WAY = 100;
let answered = 0;
let underWay = 0;

function note(error: string | undefined): void {
  if (error !== undefined) process.stdout.write(`failed ${error}\n`);
  else if (answered++ === 0) process.stdout.write('ready\n');
  if (answered === Number(many)) process.stdout.write('many\n');
  underWay -= 1;
}

function open(): void {
  underWay += 1;
  const socket = connect({ host, port: Number(port) });
  const finish = (error?: string) => {
    note(error);
    socket.removeAllListeners();
    socket.on('error', () => {});
    socket.destroy();
  };
  socket.setTimeout(timeoutMs, () => finish('TIMEOUT'));
  socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'ERROR'));
  socket.on('data', () => finish());
  socket.on('end', () => finish('CLOSED'));
}

/** Nobody sends a lost datagram again. */
function ask(): void {
  underWay += 1;
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  const finish = (error?: string) => {
    clearTimeout(timeout);
    note(error);
    socket.close();
  };
  const timeout = setTimeout(() => finish('TIMEOUT'), timeoutMs);
  socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'ERROR'));
  socket.on('message', () => finish());
  socket.send('?', Number(port), host);
}

const attempt = protocol === 'udp' ? ask : open;
const timer = setInterval(() => {
  if (underWay < MOST_UNDER_WAY) attempt();
}, Number(interval));
process.on('SIGTERM', () => {
  clearInterval(timer);
  const waiting = setInterval(() => {
    if (underWay > 0) return;
    clearInterval(waiting);
    process.stdout.write(`answered ${answered}\n`, () => process.exit(0));
  }, 20);
});
