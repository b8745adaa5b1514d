/** Sends the first packet of a connection: from inside a pod of this node, or from this node. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { type FirstPacket, firstFrame } from '../../../../kernel/probe-frames.ts';
import { openRtnl } from '../../../../kernel/rtnl.ts';
import type { Netns } from '../../../../kernel/types.ts';
import { type IP, ipFamily } from '../../../../net/ip.ts';
import type { Mac } from '../../../../net/mac.ts';
import { wire } from '../../../../netlink/wire.ts';
import type { Packet } from '../../../../proxy/verdict/explanation.ts';
import { errorCode, WeftError } from '../../../../util/errors.ts';
import type { LocalPod, NodeFacts } from '../node-facts.ts';

/** Of those that Linux hands out too (ip_local_port_range); a collision is as likely as one of clients. */
const PORTS = { first: 32_768, beyond: 61_000 } as const;
const SEQUENCES = 2 ** 31;

/** What is sent: as little as there can be, as much as fits into one packet of the pod, or a question. */
export type Content = 'empty' | 'full' | 'dns';

export const CONTENTS: readonly Content[] = ['empty', 'full', 'dns'];

/** A standard query (RFC 1035 section 4.1) for the address of a name that every cluster has. */
const DNS_NAME = 'kubernetes.default.svc.cluster.local';

export interface Sender {
  readonly sourcePort: number;
  /** Sends one packet. Throws WeftError where it cannot be sent. */
  send(): void;
  /** This node's own socket was told so; of a packet from a pod nobody here is. */
  wasRefused(): boolean;
  /** Ends what was begun. */
  close(): void;
}

/** Throws ENOTSUP for packets that cannot be sent from here. */
export function openSender(packet: Packet, node: NodeFacts, content: Content): Sender {
  const { protocol, source } = packet;
  if (content !== 'empty' && protocol !== 'udp') {
    throw new WeftError('ENOTSUP', '--send with content is for udp');
  }
  if (protocol === 'sctp') throw new WeftError('ENOTSUP', '--send knows tcp and udp, not sctp');
  const sourcePort = randomInt(PORTS.first, PORTS.beyond);
  const pod = node.podAt(source);
  if (pod !== undefined) {
    const first = { ...packet, protocol, sourcePort, destinationPort: packet.port };
    return {
      sourcePort,
      send: () => sendFromPod({ ...first, sequence: randomInt(SEQUENCES) }, content, pod, node),
      wasRefused: () => false,
      close: () => {},
    };
  }
  if (node.localAddresses.includes(source)) {
    return nodeSender(
      packet,
      protocol,
      sourcePort,
      content === 'dns' ? dnsQuery() : Buffer.alloc(0),
    );
  }
  const whose = `${source} is neither of a pod of this node on record nor of this node`;
  throw new WeftError('ENOTSUP', `--send: ${whose}; --live alone waits for its packet`);
}

/** The frame leaves the pod's link as if the pod had sent it; the pod's own rules do not see it. */
function sendFromPod(first: FirstPacket, content: Content, pod: LocalPod, node: NodeFacts): void {
  const netns = node.podNetns(pod);
  const { link, mtu, from, nextHop } = hopInPod(first.destination, netns, pod, node);
  const payload = payloadOf(content, mtu - HEADER_BYTES[ipFamily(first.source)]);
  const [errno] = wire.sendFrames(
    netns.fd,
    [link],
    [firstFrame({ ...first, payload }, from, nextHop)],
  );
  if (errno !== 0) throw new WeftError('EIO', `--send: pod ${pod.name}: errno ${errno}`);
}

interface Hop {
  readonly link: number;
  /** Bytes. */
  readonly mtu: number;
  readonly from: Mac;
  readonly nextHop: Mac;
}

function hopInPod(
  destination: Packet['destination'],
  netns: Netns,
  pod: LocalPod,
  node: NodeFacts,
): Hop {
  const rtnl = openRtnl(netns);
  try {
    const answer = rtnl.askRoute({ destination });
    if (answer.kind !== 'sent' || answer.route.link === undefined) {
      const why = answer.kind === 'refused' ? answer.code : answer.kind;
      throw new WeftError('ENETUNREACH', `pod ${pod.name} has no route to ${destination} (${why})`);
    }
    const { link, gateway: hop = destination } = answer.route;
    const { mac: from, mtu = 0 } = rtnl.linkByIndex(link) ?? {};
    const known = rtnl.neighbours(link).find(({ address }) => address === hop)?.mac;
    const neighbour = node.podAt(hop);
    // Where the node answers for its pods, a frame to the other port itself ends at the isolated ports.
    const isBridged = neighbour !== undefined && !(pod.isRouted && neighbour.isRouted);
    const nextHop =
      known ??
      (isBridged ? macIn(node.podNetns(neighbour), hop) : undefined) ??
      node.link(pod.gatewayLink)?.mac;
    if (from === undefined || nextHop === undefined) {
      throw new WeftError('EHOSTUNREACH', `pod ${pod.name}: no hardware address of ${hop}`);
    }
    return { link, mtu: answer.route.mtu ?? mtu, from, nextHop };
  } finally {
    rtnl.close();
  }
}

/** The hardware address of the link that has the address. */
function macIn(netns: Netns, ip: IP): Mac | undefined {
  const rtnl = openRtnl(netns);
  try {
    const link = rtnl.addresses().find(({ address }) => address === ip)?.link;
    return link === undefined ? undefined : rtnl.linkByIndex(link)?.mac;
  } finally {
    rtnl.close();
  }
}

/** Of IP and UDP. */
const HEADER_BYTES = { 4: 28, 6: 48 } as const;

function payloadOf(content: Content, mostBytes: number): Buffer {
  if (content === 'full') return Buffer.alloc(Math.max(0, mostBytes));
  return content === 'dns' ? dnsQuery() : Buffer.alloc(0);
}

function dnsQuery(): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(randomInt(1 << 16), 0);
  // Recursion desired, one question.
  head.writeUInt16BE(0x0100, 2);
  head.writeUInt16BE(1, 4);
  const labels = DNS_NAME.split('.').map((label) => {
    return Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]);
  });
  // The end of the name, type A, class IN.
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}

/** The kernel sends it; a SYN is repeated after a second, when this is closed. */
function nodeSender(
  packet: Packet,
  protocol: 'tcp' | 'udp',
  localPort: number,
  payload: Buffer,
): Sender {
  const { source: localAddress, destination: host, port } = packet;
  const ends: (() => void)[] = [];
  let isRefused = false;
  const onError = (error: Error) => {
    isRefused ||= errorCode(error) === 'ECONNREFUSED';
  };
  return {
    sourcePort: localPort,
    send() {
      if (protocol === 'tcp') {
        const socket = connect({ host, port, localAddress, localPort });
        socket.on('error', onError);
        ends.push(() => socket.resetAndDestroy());
        return;
      }
      const socket = createSocket(`udp${ipFamily(host)}`);
      socket.on('error', () => {});
      socket.bind(localPort, localAddress, () => socket.send(payload, port, host, () => {}));
      ends.push(() => socket.close());
    },
    wasRefused: () => isRefused,
    close: () => {
      for (const end of ends) end();
    },
  };
}
