import { dumpInParts } from '../netlink/dump-in-parts.ts';
import { findFamily } from '../netlink/generic/family.ts';
import { IPVS_FAMILY } from '../netlink/ipvs/constants.ts';
import { decodeDestination } from '../netlink/ipvs/destination.ts';
import {
  decodeTimeouts,
  decodeVersion,
  describeChange,
  encodeChange,
  encodeGetInfo,
  encodeGetTimeouts,
  encodeListDestinations,
  encodeListServers,
  encodeSetTimeouts,
} from '../netlink/ipvs/request.ts';
import { decodeServer } from '../netlink/ipvs/server.ts';
import { formatServerKey, serverFamily } from '../netlink/ipvs/server-key.ts';
import { NETLINK_GENERIC } from '../netlink/numbers.ts';
import { requestAll } from '../netlink/request-batch.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { IoError } from '../util/errors.ts';
import { inParts } from '../util/turns.ts';
import { describeFailure, IpvsError, noIpvs } from './ipvs-error.ts';
import type {
  Ipvs,
  IpvsChange,
  IpvsFailure,
  IpvsTimeouts,
  ObservedDestination,
  ServerState,
  VirtualServer,
  VirtualServerKey,
} from './ipvs-types.ts';
import type { Netns } from './types.ts';

/** Holds the refusal of every request of one datagram. */
const RECEIVE_BUFFER_BYTES = 1 << 20;
/** What the kernel takes in some milliseconds. */
const CHANGES_PER_PART = 512;
const SERVERS_PER_PART = 128;

/**
 * Opens IPVS of `netns`, which has to stay open meanwhile, or of the namespace of this process.
 * Throws IoError when the kernel has no IPVS.
 */
export function openIpvs(options: { readonly netns?: Netns } = {}): Ipvs {
  const open = () =>
    NetlinkSocket.open(NETLINK_GENERIC, { ...options, receiveBufferBytes: RECEIVE_BUFFER_BYTES });
  const socket = open();
  try {
    const family = findFamily(socket, IPVS_FAMILY);
    if (family === undefined) throw noIpvs();
    return new IpvsSocket(socket, open, family);
  } catch (error) {
    socket.close();
    throw error;
  }
}

class IpvsSocket implements Ipvs {
  readonly version: string;
  readonly #socket: NetlinkSocket;
  readonly #open: () => NetlinkSocket;
  readonly #family: number;

  constructor(socket: NetlinkSocket, open: () => NetlinkSocket, family: number) {
    this.#socket = socket;
    this.#open = open;
    this.#family = family;
    this.version = decodeVersion(this.#ask(encodeGetInfo(), 'read the version of IPVS'));
  }

  /** On a socket of its own, so that other requests may be made while the kernel lists. */
  async servers(): Promise<readonly VirtualServer[]> {
    const socket = this.#open();
    const servers: VirtualServer[] = [];
    const request = {
      type: this.#family,
      payload: encodeListServers(),
      what: 'list virtual servers',
    };
    try {
      await dumpInParts(socket, request, (replies) => {
        for (const { payload } of replies) {
          const server = decodeServer(payload);
          if (server !== undefined) servers.push(server);
        }
      });
    } finally {
      socket.close();
    }
    return servers;
  }

  destinations(key: VirtualServerKey): readonly ObservedDestination[] {
    const what = `list destinations of ${formatServerKey(key)}`;
    const destinations: ObservedDestination[] = [];
    const replies = this.#socket.dump(this.#family, encodeListDestinations(key), what);
    for (const { payload } of replies) {
      const destination = decodeDestination(payload, serverFamily(key));
      if (destination !== undefined) destinations.push(destination);
    }
    return destinations;
  }

  async *states(): AsyncGenerator<readonly ServerState[]> {
    const servers = await this.servers();
    for await (const part of inParts(servers, SERVERS_PER_PART)) {
      yield part.map((server) => ({ server, destinations: this.destinations(server.key) }));
    }
  }

  async apply(changes: readonly IpvsChange[]): Promise<void> {
    const failures: IpvsFailure[] = [];
    for await (const part of inParts(changes, CHANGES_PER_PART)) {
      failures.push(...this.#write(part));
    }
    const [firstFailure, ...others] = failures;
    if (firstFailure !== undefined) throw new IpvsError([firstFailure, ...others]);
  }

  timeouts(): IpvsTimeouts {
    return decodeTimeouts(this.#ask(encodeGetTimeouts(), 'read the timeouts of IPVS'));
  }

  setTimeouts(timeouts: IpvsTimeouts): void {
    const { tcpSeconds, tcpFinSeconds, udpSeconds } = timeouts;
    const what = `set the timeouts of IPVS to ${tcpSeconds}, ${tcpFinSeconds} and ${udpSeconds} s`;
    this.#socket.request(this.#family, 0, encodeSetTimeouts(timeouts), what);
  }

  close(): void {
    this.#socket.close();
  }

  #ask(payload: Buffer, what: string): Buffer {
    const [reply] = this.#socket.request(this.#family, 0, payload, what);
    if (reply === undefined) throw new IoError(`${what}: the kernel gave no answer`);
    return reply.payload;
  }

  #write(changes: readonly IpvsChange[]): IpvsFailure[] {
    const outcomes = requestAll(
      this.#socket,
      changes.map((change) => ({
        type: this.#family,
        flags: 0,
        payload: encodeChange(change),
        what: describeChange(change),
      })),
    );
    return changes.flatMap((change, i) => {
      const error = outcomes[i];
      return error === undefined ? [] : [describeFailure(change, error)];
    });
  }
}
