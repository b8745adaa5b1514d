/**
 * udp-stream.ts HOST PORT: one UDP flow to a test server: asks every 20 ms from the same port and
 * prints the server's name whenever another one answers than before.
 */
import { createSocket } from 'node:dgram';

const [host = '', port = ''] = process.argv.slice(2);
let server = '';
const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
socket.on('error', () => {});
socket.on('message', (answer) => {
  const [name = ''] = answer.toString().split(' ');
  if (name !== server) process.stdout.write(`${name}\n`);
  server = name;
});
socket.bind(0, () => process.stdout.write('ready\n'));
setInterval(() => socket.send('?', Number(port), host), 20);
