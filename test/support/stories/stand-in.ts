/** stand-in.ts WORDS...: sends its words to the test at STAND_IN_SOCKET, and prints what that answers. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

const socket = connect(process.env['STAND_IN_SOCKET'] ?? '');
socket.end(JSON.stringify(process.argv.slice(2)));
const { stdout = '', stderr = '' } = JSON.parse(await text(socket));
process.stdout.write(stdout);
process.stderr.write(stderr);
process.exitCode = stderr === '' ? 0 : 1;
