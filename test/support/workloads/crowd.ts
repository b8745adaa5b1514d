/**
 * Opens so many connections to each place and sends nothing: `node crowd.ts <count> <place>...`, where a
 * place is a path or `host:port`. Prints how many are open now and then, and ends with its stdin.
 */
import { connect } from 'node:net';

const [, , count = '0', ...places] = process.argv;
let open = 0;
for (const place of places) {
  for (let i = 0; i < Number(count); i++) {
    const [host = '', port] = place.split(':');
    const socket = port === undefined ? connect(place) : connect(Number(port), host);
    socket.resume().on('error', () => {});
    socket.on('connect', () => open++);
    socket.on('close', () => open--);
  }
}
setInterval(() => console.log(open), 100);
process.stdin.on('end', () => process.exit()).resume();
