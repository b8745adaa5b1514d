import { NFULNL_MSG_CONFIG, NFULNL_MSG_PACKET } from '../netlink/nflog/constants.ts';
import { decodeLoggedPacket, type LoggedPacket } from '../netlink/nflog/logged-packet.ts';
import { encodeLogGroup } from '../netlink/nflog/request.ts';
import { NETLINK_NETFILTER } from '../netlink/numbers.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import type { Netns } from './types.ts';

export interface PacketLogOptions {
  /** That of `log group`. */
  readonly group: number;
  /** Absent: the namespace of this process. */
  readonly netns?: Netns;
  readonly receiveBufferBytes?: number;
}

export interface PacketLog {
  /** Packets that met the statement and that the kernel could not hand over, as far as is known. */
  readonly lost: number;
  close(): void;
}

/** So many bytes hold an IP header with all its options, and the ports behind it. */
const SETTINGS = { copyBytes: 128, mostInMessage: 32, waitMs: 100 } as const;
/** A few hundred packets; what does not fit is counted and gone. */
const RECEIVE_BUFFER_BYTES = 256 * 1024;

/**
 * Calls back with the packets that `log group` statements of the namespace hand to `group`. The
 * kernel waits for nobody: packets that are not read in time are lost and counted. Throws
 * NetlinkError, EBUSY or EPERM where another process has the group.
 */
export function openPacketLog(
  options: PacketLogOptions,
  listener: (packets: readonly LoggedPacket[]) => void,
): PacketLog {
  const { group, netns, receiveBufferBytes = RECEIVE_BUFFER_BYTES } = options;
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, {
    ...(netns === undefined ? {} : { netns }),
    receiveBufferBytes,
  });
  try {
    socket.request(
      NFULNL_MSG_CONFIG,
      0,
      encodeLogGroup({ group, ...SETTINGS }),
      `bind log group ${group}`,
    );
  } catch (thrown) {
    socket.close();
    throw thrown;
  }
  const gaps = new Gaps();
  socket.subscribe((messages) => {
    // What was lost shows in the sequence of the next packet.
    if (messages === 'overflow') return;
    const packets = messages.flatMap(({ type, payload }) =>
      type === NFULNL_MSG_PACKET ? (decodeLoggedPacket(payload) ?? []) : [],
    );
    for (const { sequence } of packets) gaps.see(sequence);
    if (packets.length > 0) listener(packets);
  });
  return {
    get lost() {
      return gaps.lost;
    },
    close: () => socket.close(),
  };
}

/** Packets have consecutive numbers; the kernel also numbers those that it then cannot send. */
class Gaps {
  #next = 0;
  lost = 0;

  see(sequence: number | undefined): void {
    if (sequence === undefined) return;
    // Numbers have 32 bits and start over.
    this.lost += (sequence - this.#next) >>> 0;
    this.#next = (sequence + 1) >>> 0;
  }
}
