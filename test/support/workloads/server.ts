/**
 * server.ts NAME PORT: answers every TCP connection and UDP datagram on all addresses with
 * `NAME <peer address>`, so that clients learn who served them and what peer address it saw.
 * A TCP client that writes is echoed line by line and kept, for tests of long connections.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const [name = 'server', port = '8080'] = process.argv.slice(2);
const plain = (address: string | undefined) => (address ?? '').replace(/^::ffff:/, '');

const tcp = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.write(`${name} ${plain(socket.remoteAddress)}\n`);
  socket.on('data', (line) => socket.write(line));
});
const udp = createSocket('udp6');
udp.on('message', (_, peer) => {
  udp.send(`${name} ${plain(peer.address)}\n`, peer.port, peer.address);
});
tcp.listen(Number(port), '::', () => {
  udp.bind(Number(port), '::', () => process.stdout.write('ready\n'));
});
