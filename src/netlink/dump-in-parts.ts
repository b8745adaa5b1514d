import { WeftError } from '../util/errors.ts';
import {
  encodeMessage,
  type NetlinkReply,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseErrorReply,
} from './message.ts';
import { NetlinkError } from './socket.ts';

/** What of a NetlinkSocket is needed here. */
export interface PartSocket {
  nextSequence(): number;
  exchangeLater(bytes: Uint8Array, most: number): Promise<NetlinkReply[]>;
}

/** Of up to 32 KB each: what one turn of the event loop decodes in a few milliseconds. */
const DATAGRAMS_PER_PART = 2;
const NOTHING = new Uint8Array();

/**
 * Lists objects part by part, with a turn of the event loop between two parts; the kernel searches
 * on another thread. Gives false when what is listed changed meanwhile (NLM_F_DUMP_INTR), so that
 * some of it may be missing. After an exception the socket is of no more use.
 */
export async function dumpInParts(
  socket: PartSocket,
  request: { readonly type: number; readonly payload: Uint8Array; readonly what: string },
  onPart: (replies: readonly NetlinkReply[]) => void | Promise<void>,
): Promise<boolean> {
  const { type, payload, what } = request;
  const sequence = socket.nextSequence();
  let bytes: Uint8Array = encodeMessage(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload);
  let isConsistent = true;
  for (;;) {
    const received = await socket.exchangeLater(bytes, DATAGRAMS_PER_PART);
    if (received.length === 0) {
      throw new WeftError('EPROTO', `${what}: the kernel ended the listing early`);
    }
    bytes = NOTHING;
    const replies = received.filter((reply) => reply.sequence === sequence);
    const end = replies.find(({ type }) => type === NLMSG_DONE || type === NLMSG_ERROR);
    if (end !== undefined && parseErrorReply(end).errno !== 0) throw new NetlinkError(end, what);
    isConsistent &&= replies.every(({ flags }) => (flags & NLM_F_DUMP_INTR) === 0);
    await onPart(replies.filter((reply) => reply !== end));
    if (end !== undefined) return isConsistent;
  }
}
