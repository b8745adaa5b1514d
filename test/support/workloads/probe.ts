/**
 * probe.ts PROTOCOL HOST PORT COUNT [PARALLEL] [TIMEOUT_MS]: makes COUNT new connections (tcp) or
 * flows (udp), a few at a time, and prints JSON: how often each server answered, which peer
 * addresses the servers saw, and errors by code.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

const [protocol = 'tcp', host = '', port = '', count = '1', parallel = '8', timeout = '2000'] =
  process.argv.slice(2);
const servers: Record<string, number> = {};
const peers: Record<string, number> = {};
const errors: Record<string, number> = {};
const bump = (counts: Record<string, number>, key: string) => {
  counts[key] = (counts[key] ?? 0) + 1;
};

function record(answer: string): void {
  const [server = '', peer = ''] = answer.trim().split(' ');
  bump(servers, server);
  bump(peers, peer);
}

function connectOnce(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) });
    const finish = (error?: string) => {
      if (error !== undefined) bump(errors, error);
      socket.removeAllListeners();
      socket.on('error', () => {});
      socket.destroy();
      resolve();
    };
    socket.setTimeout(Number(timeout), () => finish('TIMEOUT'));
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'ERROR'));
    socket.on('data', (answer) => {
      record(answer.toString());
      finish();
    });
    socket.on('end', () => finish('CLOSED'));
  });
}

function sendOnce(): Promise<void> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    const finish = (error?: string) => {
      clearTimeout(timer);
      if (error !== undefined) bump(errors, error);
      socket.removeAllListeners();
      socket.close(resolve);
    };
    const timer = setTimeout(() => finish('TIMEOUT'), Number(timeout));
    socket.on('message', (answer) => {
      record(answer.toString());
      finish();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'ERROR'));
    // Connected, so that an ICMP error reaches this socket.
    socket.connect(Number(port), host, () => socket.send('?'));
  });
}

let left = Number(count);
const attempt = protocol === 'udp' ? sendOnce : connectOnce;
const worker = async () => {
  while (left-- > 0) await attempt();
};
const startedAt = performance.now();
await Promise.all(Array.from({ length: Number(parallel) }, worker));
const elapsedMs = performance.now() - startedAt;
process.stdout.write(`${JSON.stringify({ servers, peers, errors, elapsedMs })}\n`);
