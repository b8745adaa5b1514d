/**
 * stream.ts HOST PORT [MS] [SILENT_MS]: holds one connection to a test server, sends a numbered line every
 * 10 (MS) ms and prints `lost` when answers are missing for 1,000 (SILENT_MS); on SIGTERM prints how many
 * came back, once all have or none comes any more.
 */
import { connect } from 'node:net';

const [host = '', port = '', interval = '10', silence = '1000'] = process.argv.slice(2);
let sent = 0;
let returned = 0;
let lastAnswerAt = performance.now();
const socket = connect({ host, port: Number(port), noDelay: true });
socket.on('error', (error) => {
  process.stdout.write(`lost ${error.message}\n`);
});
socket.on('close', () => process.stdout.write('lost closed\n'));
socket.once('data', () => process.stdout.write('ready\n'));
socket.on('data', (bytes) => {
  returned += bytes.toString().match(/^line /gm)?.length ?? 0;
  lastAnswerAt = performance.now();
});
const timer = setInterval(() => {
  socket.write(`line ${sent++}\n`);
  if (performance.now() - lastAnswerAt > Number(silence)) process.stdout.write('lost silent\n');
}, Number(interval));
process.on('SIGTERM', () => {
  clearInterval(timer);
  const waiting = setInterval(() => {
    const isSilent = performance.now() - lastAnswerAt > Number(silence);
    if (returned < sent && !isSilent) return;
    clearInterval(waiting);
    process.stdout.write(`returned ${returned} of ${sent}\n`);
    socket.removeAllListeners('close');
    socket.once('close', () => process.exit(0));
    // Who keeps account of connections shall not wait for the last of its packets.
    socket.resetAndDestroy();
  }, 20);
});
