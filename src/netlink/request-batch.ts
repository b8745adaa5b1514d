import { WeftError } from '../util/errors.ts';
import {
  encodeMessage,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  parseErrorReply,
} from './message.ts';
import { NetlinkError, type NetlinkSocket } from './socket.ts';

/** Below the default send buffer, and so few that their answers fit any receive buffer. */
const BATCH_REQUESTS = 256;

export interface BatchRequest {
  readonly type: number;
  /** Beyond NLM_F_REQUEST and NLM_F_ACK. */
  readonly flags: number;
  readonly payload: Uint8Array;
  /** Starts the message of its error. */
  readonly what: string;
}

/**
 * Sends requests many to a datagram and gives one outcome each, in order: undefined or its error.
 * The kernel goes on after a request that fails. Only the last of a datagram is acknowledged: the
 * others are silent unless they fail. `requests` is read as far as each datagram needs.
 */
export function requestAll(
  socket: Pick<NetlinkSocket, 'exchange' | 'nextSequence'>,
  requests: Iterable<BatchRequest>,
): readonly (NetlinkError | undefined)[] {
  const outcomes: (NetlinkError | undefined)[] = [];
  let batch: BatchRequest[] = [];
  for (const request of requests) {
    batch.push(request);
    if (batch.length < BATCH_REQUESTS) continue;
    outcomes.push(...sendBatch(socket, batch));
    batch = [];
  }
  if (batch.length > 0) outcomes.push(...sendBatch(socket, batch));
  return outcomes;
}

function sendBatch(
  socket: Pick<NetlinkSocket, 'exchange' | 'nextSequence'>,
  batch: readonly BatchRequest[],
): (NetlinkError | undefined)[] {
  const first = socket.nextSequence(batch.length);
  const last = batch.length - 1;
  const messages = batch.map(({ type, flags, payload }, i) => {
    const acknowledge = i === last ? NLM_F_ACK : 0;
    return encodeMessage(type, NLM_F_REQUEST | acknowledge | flags, first + i, payload);
  });
  const outcomes = new Array<NetlinkError | undefined>(batch.length).fill(undefined);
  let isComplete = false;
  for (const reply of socket.exchange(Buffer.concat(messages))) {
    const position = reply.sequence - first;
    const request = batch[position];
    if (reply.type !== NLMSG_ERROR || request === undefined) continue;
    if (position === last) isComplete = true;
    if (parseErrorReply(reply).errno !== 0)
      outcomes[position] = new NetlinkError(reply, request.what);
  }
  if (!isComplete) throw new WeftError('EPROTO', 'the kernel did not acknowledge a batch');
  return outcomes;
}
