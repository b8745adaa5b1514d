/** Answers each connection to the socket at argv[2] with what it sent, until stdin ends. */
import { UnixServer } from '../../../src/kernel/unix-socket.ts';
import { createLogger } from '../../../src/util/log.ts';

const [, , path = ''] = process.argv;
const server = UnixServer.listen(path, {
  mode: 0o600,
  most: 1000,
  log: createLogger('info', process.stdout),
  onConnection: (connection) => {
    connection.onData((bytes) => {
      connection.write(bytes);
      connection.end();
    });
  },
});
console.log('listening');
process.stdin.on('end', () => server.close()).resume();
