/** A neighbour that asks for addresses every 20 ms, by ARP and neighbour discovery, and notes who says to have them. */
import { closeSync } from 'node:fs';
import { solicitedNodeGroup, solicitedNodeMac } from '../../src/kernel/frames.ts';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { type IP, ipFamily, ipFromBytes, ipToBytes } from '../../src/net/ip.ts';
import { macFromBytes, macToBytes, parseMac } from '../../src/net/mac.ts';
import { wire } from '../../src/netlink/wire.ts';
import { arpFrame, icmpv6Frame } from './forged-frames.ts';
import type { TestNetns } from './netns.ts';

const EVERY_MS = 20;
const ETHERTYPES = [0x0806, 0x86dd];
/** BPF_RET of everything. */
const EVERYTHING = Buffer.from([6, 0, 0, 0, 0xff, 0xff, 0, 0]);
const SOLICITATION = 135;
const ADVERTISEMENT = 136;

export interface Claim {
  readonly atMs: number;
  readonly address: IP;
  readonly mac: string;
}

export interface Asker {
  readonly netns: TestNetns;
  readonly link: string;
  readonly sources: Readonly<Record<4 | 6, string>>;
}

export class NeighbourObserver {
  readonly claims: Claim[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #fds: readonly number[];
  readonly #netns: Netns;

  constructor({ netns, link, sources }: Asker, addresses: readonly IP[]) {
    const [found] = netns.ip<{ ifindex: number; address: string }[]>('link', 'show', link);
    const { ifindex = 0, address: mac = '' } = found ?? {};
    const questions = addresses.map((ip) => question(ip, mac, sources[ipFamily(ip)]));
    const opened = netnses.open(netns.path);
    this.#netns = opened;
    this.#fds = ETHERTYPES.map((type) => wire.openPacket(opened.fd, ifindex, type, EVERYTHING));
    this.#timer = setInterval(() => {
      this.#note(new Set(addresses));
      wire.sendFrames(
        opened.fd,
        questions.map(() => ifindex),
        questions,
      );
    }, EVERY_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const fd of this.#fds) closeSync(fd);
    this.#netns.close();
  }

  /** When somebody else than this one first had the address, from a moment on. */
  firstOther(address: IP, mac: string, sinceMs: number): number | undefined {
    return this.claims.find(
      (claim) => claim.address === address && claim.mac !== mac && claim.atMs >= sinceMs,
    )?.atMs;
  }

  #note(addresses: ReadonlySet<IP>): void {
    const atMs = performance.now();
    for (const frame of this.#fds.flatMap((fd) => wire.receivePackets(fd, 512))) {
      const address = claimed(frame);
      if (address === undefined || !addresses.has(address)) continue;
      this.claims.push({ atMs, address, mac: macFromBytes(frame.subarray(6, 12)) });
    }
  }
}

/** For how long at a time several had an address at once, at most: A after B after A, in ms. */
export function longestTogether(claims: readonly Claim[]): number {
  let longest = 0;
  for (const address of new Set(claims.map((claim) => claim.address))) {
    const all = claims.filter((claim) => claim.address === address);
    for (const [i, { mac, atMs }] of all.entries()) {
      // From the first claim of another to the last of the one before it that has not been away for long.
      const before = all[i - 1];
      if (before === undefined || before.mac === mac) continue;
      const last = lastWithoutPause(all.slice(i), before.mac, atMs);
      longest = Math.max(longest, last - atMs);
    }
  }
  return longest;
}

/** Longer than a question is lost now and then. */
const PAUSE_MS = 300;

function lastWithoutPause(claims: readonly Claim[], mac: string, sinceMs: number): number {
  let last = sinceMs;
  for (const claim of claims) {
    if (claim.atMs - last > PAUSE_MS) break;
    if (claim.mac === mac) last = claim.atMs;
  }
  return last;
}

function question(ip: IP, mac: string, source: string): Buffer {
  if (ipFamily(ip) === 4) {
    return arpFrame({ from: mac, to: 'ff:ff:ff:ff:ff:ff' }, 1, { mac, ip: source }, ip);
  }
  const option = Buffer.concat([Buffer.of(1, 1), macToBytes(parseMac(mac))]);
  const addresses = { source, destination: solicitedNodeGroup(ip) };
  const body = Buffer.concat([Buffer.alloc(4), ipToBytes(ip), option]);
  return icmpv6Frame({ from: mac, to: solicitedNodeMac(ip) }, addresses, SOLICITATION, body);
}

/** What a frame says that its sender has: an answer, or an announcement. */
function claimed(frame: Buffer): IP | undefined {
  if (frame.length >= 42 && frame.readUInt16BE(12) === 0x0806) {
    const [sender, target] = [frame.subarray(28, 32), frame.subarray(38, 42)];
    const isAnswer = frame.readUInt16BE(20) === 2 || sender.equals(target);
    return isAnswer ? ipFromBytes(sender) : undefined;
  }
  const isAdvertisement = frame.length >= 78 && frame[20] === 58 && frame[54] === ADVERTISEMENT;
  return isAdvertisement ? ipFromBytes(frame.subarray(62, 78)) : undefined;
}
