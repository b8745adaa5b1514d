import { closeSync } from 'node:fs';
import type { Clock } from '../util/clock.ts';
import { WeftError } from '../util/errors.ts';
import { errnoName } from './errno.ts';
import {
  encodeMessage,
  type NetlinkReply,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseErrorReply,
  parseMessages,
} from './message.ts';
import { type WatchHandle, wire } from './wire.ts';

export { type NetlinkReply, parseErrorReply } from './message.ts';

const DUMP_ATTEMPTS = 10;

/** The kernel refused a request; `code` is the errno's name, `extack` its own words if it has any. */
export class NetlinkError extends WeftError {
  readonly errno: number;
  readonly extack: string | undefined;
  readonly extackOffset: number | undefined;
  readonly sequence: number;
  readonly #reply: Buffer;

  constructor(reply: NetlinkReply, request: string) {
    const { errno, extack, offset } = parseErrorReply(reply);
    const code = errnoName(errno);
    super(code, `${request}: ${extack === undefined ? code : `${code} (${extack})`}`);
    this.errno = errno;
    this.extack = extack;
    this.extackOffset = offset;
    this.sequence = reply.sequence;
    this.#reply = reply.payload;
  }

  /** struct nlmsgerr as it came: the errno and the request, into which some families write. */
  get reply(): Buffer {
    return this.#reply;
  }
}

/** Events of a multicast socket; `overflow` means some were lost and state must be read again. */
export type EventListener = (event: readonly NetlinkReply[] | 'overflow') => void;

/** How events are read where there may be very many; without it each as soon as it comes. */
export interface EventPace {
  /** Datagrams that one turn of the event loop takes; 0: all that are there. */
  readonly mostAtOnce?: number;
  /** After some events no more are looked for until then: to wake up for each of them costs more than they do. */
  readonly rest?: { readonly ms: number; readonly clock: Pick<Clock, 'schedule'> };
}

export interface SocketOptions {
  /** Absent: the namespace of this process. The socket stays in its namespace for life. */
  readonly netns?: { readonly fd: number };
  readonly sendBufferBytes?: number;
  readonly receiveBufferBytes?: number;
}

/**
 * One netlink socket. Requests are synchronous: the kernel has answered before the send returns.
 * Use one socket for requests and another for events.
 */
export class NetlinkSocket {
  readonly portId: number;
  readonly #fd: number;
  #sequence = 1;
  #watch: WatchHandle | undefined;
  #cancelRest: (() => void) | undefined;
  #isClosed = false;

  private constructor(fd: number, portId: number) {
    this.#fd = fd;
    this.portId = portId;
  }

  /** `protocol` is a NETLINK_* number: 0 route, 12 netfilter, 16 generic. */
  static open(protocol: number, options: SocketOptions = {}): NetlinkSocket {
    const { netns, sendBufferBytes = 0, receiveBufferBytes = 0 } = options;
    const opened = wire.openNetlink(protocol, netns?.fd ?? -1, sendBufferBytes, receiveBufferBytes);
    return new NetlinkSocket(opened.fd, opened.portId);
  }

  /** Reserves `count` consecutive sequence numbers and gives the first. */
  nextSequence(count = 1): number {
    const first = this.#sequence;
    this.#sequence = first + count > 0x7fffffff ? 1 : first + count;
    return first;
  }

  /**
   * Sends one request with NLM_F_REQUEST | NLM_F_ACK | `flags` and gives the replies that came
   * before its acknowledgement. Throws NetlinkError; `what` starts its message.
   */
  request(
    type: number,
    flags: number,
    payload: Uint8Array,
    what = `request ${type}`,
  ): NetlinkReply[] {
    const sequence = this.nextSequence();
    const message = encodeMessage(type, NLM_F_REQUEST | NLM_F_ACK | flags, sequence, payload);
    const replies: NetlinkReply[] = [];
    for (const reply of this.exchange(message)) {
      if (reply.sequence !== sequence) continue;
      if (reply.type !== NLMSG_ERROR) {
        replies.push(reply);
        continue;
      }
      if (parseErrorReply(reply).errno !== 0) throw new NetlinkError(reply, what);
      return replies;
    }
    throw new WeftError('EPROTO', `${what}: the kernel did not acknowledge`);
  }

  /** Lists objects; a listing that changed while it ran (NLM_F_DUMP_INTR) is read again. */
  dump(type: number, payload: Uint8Array, what = `dump ${type}`): NetlinkReply[] {
    for (let attempt = 1; ; attempt++) {
      const { replies, isInterrupted } = this.#dumpOnce(type, payload, what);
      if (!isInterrupted) return replies;
      if (attempt === DUMP_ATTEMPTS) {
        throw new WeftError('EINTR', `${what}: changed during each of ${DUMP_ATTEMPTS} readings`);
      }
    }
  }

  /** Sends ready-made bytes in one datagram; gives all messages answered, errors among them. */
  exchange(bytes: Uint8Array): NetlinkReply[] {
    return wire.exchangeNetlink(this.#fd, bytes).flatMap(parseMessages);
  }

  /**
   * Like `exchange` on another thread, and at most `most` datagrams: the kernel keeps the rest of a
   * listing until asked again with no bytes. Nothing else may use the socket meanwhile.
   */
  async exchangeLater(bytes: Uint8Array, most: number): Promise<NetlinkReply[]> {
    const datagrams = await wire.exchangeNetlinkLater(this.#fd, bytes, most);
    return datagrams.flatMap(parseMessages);
  }

  /** Joins a multicast group, so that `subscribe` sees its events. */
  join(group: number): void {
    wire.joinNetlinkGroup(this.#fd, group);
  }

  /** Calls `listener` with every event until the socket closes. Once per socket. */
  subscribe(listener: EventListener, pace: EventPace = {}): void {
    const watch = () => {
      this.#watch = new wire.Watch(this.#fd, () => {
        const count = this.#deliver(listener, pace.mostAtOnce ?? 0);
        if (count > 0 && pace.rest !== undefined) this.#restThenDeliver(listener, pace, watch);
      });
    };
    watch();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch?.close();
    this.#cancelRest?.();
    closeSync(this.#fd);
  }

  #dumpOnce(type: number, payload: Uint8Array, what: string) {
    const sequence = this.nextSequence();
    const message = encodeMessage(type, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload);
    const replies: NetlinkReply[] = [];
    let isInterrupted = false;
    for (const reply of this.exchange(message)) {
      if (reply.sequence !== sequence) continue;
      if ((reply.flags & NLM_F_DUMP_INTR) !== 0) isInterrupted = true;
      if (reply.type === NLMSG_ERROR || reply.type === NLMSG_DONE) {
        if (parseErrorReply(reply).errno !== 0) throw new NetlinkError(reply, what);
        return { replies, isInterrupted };
      }
      replies.push(reply);
    }
    throw new WeftError('EPROTO', `${what}: the kernel ended the listing early`);
  }

  /** Watches again once nothing was there for as long as the rest. */
  #restThenDeliver(listener: EventListener, pace: EventPace, watch: () => void): void {
    const { mostAtOnce = 0, rest } = pace;
    if (this.#isClosed || rest === undefined) return;
    this.#watch?.close();
    this.#watch = undefined;
    const wait = (ms: number) => {
      this.#cancelRest = rest.clock.schedule(ms, () => {
        const count = this.#deliver(listener, mostAtOnce);
        if (this.#isClosed) return;
        if (count === 0) watch();
        else wait(count === mostAtOnce ? 0 : rest.ms);
      });
    };
    wait(rest.ms);
  }

  /** Gives how many datagrams there were. */
  #deliver(listener: EventListener, mostAtOnce: number): number {
    let messages: NetlinkReply[] = [];
    const tell = () => {
      if (messages.length > 0 && !this.#isClosed) listener(messages);
      messages = [];
    };
    const datagrams = wire.drainNetlink(this.#fd, mostAtOnce);
    for (const datagram of datagrams) {
      if (datagram !== null) {
        for (const message of parseMessages(datagram)) messages.push(message);
        continue;
      }
      tell();
      if (!this.#isClosed) listener('overflow');
    }
    tell();
    return datagrams.length;
  }
}
