import type { TraceEvent } from '../../../../nftables/trace.ts';
import type { TracedPacket } from '../../../../nftables/traced-packet.ts';
import type { Packet } from '../../../../proxy/verdict/explanation.ts';
import { endOfTrace, type Traced } from './trace-table.ts';

const ICMP: readonly number[] = [1, 58];

/**
 * Collects the events of one packet, the first that is seen, and of the first that answers it. The
 * kernel's id of a packet changes where it passes from a bridge to the IP stack, so a packet from the
 * same address and port joins.
 */
export class TraceFollower implements Traced {
  readonly #asked: Pick<Packet, 'source' | 'destination' | 'port'>;
  readonly #sourcePort: number | undefined;
  readonly #request: TraceEvent[] = [];
  readonly #reply: TraceEvent[] = [];
  readonly #requestIds = new Set<number>();
  readonly #replyIds = new Set<number>();

  /** With `sourcePort` only the packet that was sent from there. */
  constructor(asked: Pick<Packet, 'source' | 'destination' | 'port'>, sourcePort?: number) {
    this.#asked = asked;
    this.#sourcePort = sourcePort;
  }

  get request(): readonly TraceEvent[] {
    return this.#request;
  }

  get reply(): readonly TraceEvent[] {
    return this.#reply;
  }

  /** Whether the packet's way is known to its end. */
  get isRequestComplete(): boolean {
    return isComplete(this.#request);
  }

  get isReplyComplete(): boolean {
    return isComplete(this.#reply);
  }

  add(event: TraceEvent): void {
    const { id, packet } = event;
    if (this.#replyIds.has(id)) this.#addReply(event);
    else if (this.#requestIds.has(id)) this.#addRequest(event);
    else if (packet !== undefined && this.#isOfRequest(packet)) this.#addRequest(event);
    else if (packet !== undefined && this.#isOfReply(packet)) this.#addReply(event);
  }

  #addRequest(event: TraceEvent): void {
    if (this.isRequestComplete) return;
    this.#requestIds.add(event.id);
    this.#request.push(event);
  }

  #addReply(event: TraceEvent): void {
    if (this.isReplyComplete) return;
    this.#replyIds.add(event.id);
    this.#reply.push(event);
  }

  #isOfRequest(packet: TracedPacket): boolean {
    const first = this.#request[0]?.packet;
    if (first !== undefined) {
      return (
        packet.source === first.source &&
        packet.sourcePort === first.sourcePort &&
        packet.protocol === first.protocol
      );
    }
    return (
      packet.source === this.#asked.source &&
      packet.destination === this.#asked.destination &&
      packet.destinationPort === this.#asked.port &&
      (this.#sourcePort === undefined || packet.sourcePort === this.#sourcePort)
    );
  }

  /** To the client, or to the address and port that its packet left with. */
  #isOfReply(packet: TracedPacket): boolean {
    const first = this.#request[0]?.packet;
    const last = this.#request.findLast((event) => event.packet !== undefined)?.packet;
    if (first === undefined || last === undefined || isRedirect(packet)) return false;
    const isTo = ({ source, sourcePort }: TracedPacket) =>
      packet.destination === source &&
      (ICMP.includes(packet.protocol) || packet.destinationPort === sourcePort);
    return isTo(last) || isTo(first);
  }
}

/** The node tells the client of a shorter way (ICMP 5, ICMPv6 137), and forwards its packet all the same. */
function isRedirect({ protocol, icmp }: TracedPacket): boolean {
  return icmp?.type === (protocol === 1 ? 5 : 137);
}

function isComplete(events: readonly TraceEvent[]): boolean {
  return endOfTrace(events) !== undefined;
}
