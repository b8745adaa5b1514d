import { closeSync } from 'node:fs';
import type { IP } from '../net/ip.ts';
import { macToBytes } from '../net/mac.ts';
import { type WatchHandle, wire } from '../netlink/wire.ts';
import { type NeighbourQuestion, parseQuestion, solicitedNodeMac } from './frames.ts';
import type { Netns } from './types.ts';

export interface NeighbourQuestions {
  /** Questions for this IPv6 address come in from now on; for IPv4 all do. */
  expect(address: IP): void;
  close(): void;
}

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
/** A flood has its turn, and so has everything else. */
const MOST_AT_ONCE = 64;

/** Instructions of classic BPF: code, jump if true, jump if false, operand (linux/filter.h). */
type Instruction = readonly [code: number, jt: number, jf: number, k: number];
const LOAD_BYTE = 0x30;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
const WHOLE = 0xffff;

const EVERYTHING: readonly Instruction[] = [[RETURN, 0, 0, WHOLE]];
/** Next header ICMPv6, type neighbour solicitation, counted from the Ethernet header. */
const SOLICITATIONS: readonly Instruction[] = [
  [LOAD_BYTE, 0, 0, 20],
  [JUMP_EQUAL, 0, 3, 58],
  [LOAD_BYTE, 0, 0, 54],
  [JUMP_EQUAL, 0, 1, 135],
  [RETURN, 0, 0, WHOLE],
  [RETURN, 0, 0, 0],
];

/**
 * Calls back with what neighbours behind one link ask, by ARP and by neighbour discovery; the kernel goes
 * on answering for its own addresses. Throws SystemError: ENODEV without the link, EPERM without
 * CAP_NET_RAW.
 */
export function openNeighbourQuestions(
  netns: Netns | undefined,
  link: number,
  listener: (questions: readonly NeighbourQuestion[]) => void,
): NeighbourQuestions {
  const watches: { readonly fd: number; readonly watch: WatchHandle }[] = [];
  const open = (etherType: number, filter: readonly Instruction[]) => {
    const fd = wire.openPacket(netns?.fd ?? -1, link, etherType, encodeFilter(filter));
    const watch = new wire.Watch(fd, () => {
      const questions = receive(fd).flatMap((frame) => parseQuestion(frame) ?? []);
      if (questions.length > 0) listener(questions);
    });
    watches.push({ fd, watch });
    return fd;
  };
  open(ETHERTYPE_ARP, EVERYTHING);
  const six = open(ETHERTYPE_IPV6, SOLICITATIONS);
  const expected = new Set<IP>();
  return {
    expect(address) {
      if (expected.has(address) || !address.includes(':')) return;
      wire.joinEthernetGroup(six, link, macToBytes(solicitedNodeMac(address)));
      expected.add(address);
    },
    close() {
      for (const { fd, watch } of watches.splice(0)) {
        watch.close();
        closeSync(fd);
      }
    },
  };
}

/** A link that went down says so once (ENETDOWN), and goes on when it is up. */
function receive(fd: number): readonly Buffer[] {
  try {
    return wire.receivePackets(fd, MOST_AT_ONCE);
  } catch {
    return [];
  }
}

function encodeFilter(instructions: readonly Instruction[]): Uint8Array {
  const bytes = Buffer.alloc(instructions.length * 8);
  for (const [at, [code, jt, jf, k]] of instructions.entries()) {
    bytes.writeUInt16LE(code, at * 8);
    bytes.writeUInt8(jt, at * 8 + 2);
    bytes.writeUInt8(jf, at * 8 + 3);
    bytes.writeUInt32LE(k, at * 8 + 4);
  }
  return bytes;
}
