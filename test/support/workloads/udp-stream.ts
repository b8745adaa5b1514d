/**
 * udp-stream.ts HOST PORT [GAP_MS]: one UDP flow to a test server: asks every 20 ms from the same port and
 * prints the server's name whenever another one answers than before, and `silent` when none has for GAP_MS.
 */
import { createSocket } from 'node:dgram';

const [host = '', port = '', gapMs = 'Infinity'] = process.argv.slice(2);
let server = '';
let answeredAt = performance.now();
const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
socket.on('error', () => {});
socket.on('message', (answer) => {
  const [name = ''] = answer.toString().split(' ');
  if (name !== server) process.stdout.write(`${name}\n`);
  server = name;
  answeredAt = performance.now();
});
socket.bind(0, () => process.stdout.write('ready\n'));
setInterval(() => {
  socket.send('?', Number(port), host);
  if (server === 'silent' || performance.now() - answeredAt < Number(gapMs)) return;
  server = 'silent';
  process.stdout.write(`${server}\n`);
}, 20);
