/**
 * streams.ts HOST PORT COUNT: holds connections to test servers and writes a line to each every 50 ms; prints
 * `ready` once all were answered; on SIGTERM prints as JSON how many still answer (`held`) and how many do
 * not (`lost`), by the server's name.
 */
import { connect, type Socket } from 'node:net';

const INTERVAL_MS = 50;
/** A packet may be sent anew. */
const SILENT_MS = 1_500;

interface Stream {
  readonly server: string;
  answeredAt: number;
}

const [host = '', port = '', count = '1'] = process.argv.slice(2);
const streams = new Map<Socket, Stream>();

for (let i = 0; i < Number(count); i++) {
  const socket = connect({ host, port: Number(port), noDelay: true });
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    const stream = streams.get(socket);
    const answeredAt = performance.now();
    if (stream !== undefined) stream.answeredAt = answeredAt;
    else streams.set(socket, { server: bytes.toString().split(' ')[0] ?? '', answeredAt });
    if (stream === undefined && streams.size === Number(count)) process.stdout.write('ready\n');
  });
}
setInterval(() => {
  for (const socket of streams.keys()) if (socket.writable) socket.write('line\n');
}, INTERVAL_MS);
process.on('SIGTERM', () => {
  const counts: Record<'held' | 'lost', Record<string, number>> = { held: {}, lost: {} };
  for (const [socket, { server, answeredAt }] of streams) {
    const isHeld = socket.writable && performance.now() - answeredAt < SILENT_MS;
    const of = counts[isHeld ? 'held' : 'lost'];
    of[server] = (of[server] ?? 0) + 1;
  }
  process.stdout.write(`${JSON.stringify(counts)}\n`, () => process.exit(0));
});
