/** Asks an endpoint from this node: whether somebody answers, refuses, or nothing comes. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { type IP, ipFamily } from '../../../../net/ip.ts';
import type { Clock } from '../../../../util/clock.ts';
import { errorCode } from '../../../../util/errors.ts';

export interface Probed {
  readonly ip: IP;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** `silent` of UDP is no bad sign: who answers a datagram without content? */
  readonly answer: 'answers' | 'refuses' | 'silent' | 'unreachable';
}

const TIMEOUT_MS = 1_000;

/** One connection, or one datagram without content; never rejects. */
export async function probe(
  { ip, port }: { readonly ip: IP; readonly port: number },
  protocol: 'tcp' | 'udp',
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Probed> {
  const { promise, resolve } = Promise.withResolvers<Probed['answer']>();
  const cancel = clock.schedule(TIMEOUT_MS, () => resolve('silent'));
  const stop = () => resolve('silent');
  signal.addEventListener('abort', stop, { once: true });
  const onError = (error: Error) => {
    resolve(errorCode(error) === 'ECONNREFUSED' ? 'refuses' : 'unreachable');
  };
  const close =
    protocol === 'tcp'
      ? probeTcp(ip, port, resolve, onError)
      : probeUdp(ip, port, resolve, onError);
  const answer = await promise;
  cancel();
  signal.removeEventListener('abort', stop);
  close();
  return { ip, port, protocol, answer };
}

type Resolve = (answer: Probed['answer']) => void;

function probeTcp(
  ip: IP,
  port: number,
  resolve: Resolve,
  onError: (error: Error) => void,
): () => void {
  const socket = connect({ host: ip, port });
  socket.on('connect', () => resolve('answers'));
  socket.on('error', onError);
  return () => socket.destroy();
}

/** A connected socket is told of ICMP errors. */
function probeUdp(
  ip: IP,
  port: number,
  resolve: Resolve,
  onError: (error: Error) => void,
): () => void {
  const socket = createSocket(`udp${ipFamily(ip)}`);
  socket.on('error', onError);
  socket.on('message', () => resolve('answers'));
  // A callback of `connect` would get its errors, and go on as if there were none; thus they come as events.
  socket.once('connect', () => socket.send('', () => {}));
  socket.connect(port, ip);
  return () => socket.close();
}
