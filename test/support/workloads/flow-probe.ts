/**
 * flow-probe.ts: reads lines from stdin, each a JSON list of probes, makes the connections of all of
 * them at the same time, and prints a line with a JSON list of what came of each: how often every
 * answer came, and errors by code.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import type { FlowProbe, FlowResult } from '../flows/probing.ts';

const PARALLEL = 4;
/** Who is connected waits for a process, not for a packet that may have been lost. */
const CONNECTED_TIMEOUT_MS = 4_000;

/** On a slow machine what came in time may wait behind the timer: it is read before time is up. */
function afterReading(act: () => void): () => void {
  return () => setImmediate(act);
}

/** One new connection: the server's answer, or the error's code. */
function connectOnce({ source, host, port, timeoutMs }: FlowProbe): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, localAddress: source });
    const finish = (outcome: string) => {
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(
      timeoutMs,
      afterReading(() => finish('TIMEOUT')),
    );
    socket.on('connect', () => socket.setTimeout(CONNECTED_TIMEOUT_MS));
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'ERROR'));
    socket.on('data', (answer) => finish(answer.toString().trim()));
    socket.on('end', () => finish('CLOSED'));
  });
}

/** One datagram from a new port: the answer, or the error's code. */
function sendOnce({ source, host, port, timeoutMs }: FlowProbe): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    let isFinished = false;
    const finish = (outcome: string) => {
      if (isFinished) return;
      isFinished = true;
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.close(() => resolve(outcome));
    };
    const timer = setTimeout(
      afterReading(() => finish('TIMEOUT')),
      timeoutMs,
    );
    socket.on('message', (answer) => finish(answer.toString().trim()));
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'ERROR'));
    // Connected, so that an ICMP error reaches this socket.
    socket.bind(0, source, () => socket.connect(port, host, () => socket.send('?')));
  });
}

async function run(flow: FlowProbe): Promise<FlowResult> {
  const outcomes: Record<string, number> = {};
  let left = flow.count;
  const worker = async () => {
    while (left-- > 0) {
      const outcome = await (flow.protocol === 'udp' ? sendOnce(flow) : connectOnce(flow));
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return outcomes;
}

for await (const line of createInterface({ input: process.stdin })) {
  // The lab writes exactly this shape.
  const probes = JSON.parse(line) as readonly FlowProbe[];
  process.stdout.write(`${JSON.stringify(await Promise.all(probes.map(run)))}\n`);
}
