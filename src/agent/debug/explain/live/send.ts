/** Sends the first packet of a connection: from inside a pod of this node, or from this node. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { netnses } from '../../../../kernel/netns.ts';
import { firstFrame } from '../../../../kernel/probe-frames.ts';
import { openRtnl } from '../../../../kernel/rtnl.ts';
import type { Netns } from '../../../../kernel/types.ts';
import { ipFamily } from '../../../../net/ip.ts';
import type { Mac } from '../../../../net/mac.ts';
import { wire } from '../../../../netlink/wire.ts';
import type { Packet } from '../../../../proxy/verdict/explanation.ts';
import { WeftError } from '../../../../util/errors.ts';
import type { LocalPod, NodeFacts } from '../node-facts.ts';

/** Of those that Linux hands out too (ip_local_port_range); a collision is as likely as one of clients. */
const PORTS = { first: 32_768, beyond: 61_000 } as const;
const SEQUENCES = 2 ** 31;

export interface Sender {
  readonly sourcePort: number;
  /** Sends one packet. Throws WeftError where it cannot be sent. */
  send(): void;
  /** Ends what was begun. */
  close(): void;
}

/** Throws ENOTSUP for packets that cannot be sent from here. */
export function openSender(packet: Packet, node: NodeFacts): Sender {
  const { protocol, source } = packet;
  if (protocol === 'sctp') throw new WeftError('ENOTSUP', '--send knows tcp and udp, not sctp');
  const sourcePort = randomInt(PORTS.first, PORTS.beyond);
  const pod = node.podAt(source);
  if (pod !== undefined) {
    const first = { ...packet, protocol, sourcePort, destinationPort: packet.port };
    return {
      sourcePort,
      send: () => sendFromPod({ ...first, sequence: randomInt(SEQUENCES) }, pod, node),
      close: () => {},
    };
  }
  if (node.localAddresses.includes(source)) return nodeSender(packet, protocol, sourcePort);
  const whose = `${source} is neither of a pod of this node on record nor of this node`;
  throw new WeftError('ENOTSUP', `--send: ${whose}; --live alone waits for its packet`);
}

/** The frame leaves the pod's link as if the pod had sent it; the pod's own rules do not see it. */
function sendFromPod(
  first: Parameters<typeof firstFrame>[0],
  pod: LocalPod,
  node: NodeFacts,
): void {
  const netns = netnses.open(pod.netnsPath);
  try {
    const { link, from, nextHop } = hopInPod(first.destination, netns, pod, node);
    const [errno] = wire.sendFrames(netns.fd, [link], [firstFrame(first, from, nextHop)]);
    if (errno !== 0) throw new WeftError('EIO', `--send: pod ${pod.name}: errno ${errno}`);
  } finally {
    netns.close();
  }
}

interface Hop {
  readonly link: number;
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
    const from = rtnl.linkByIndex(link)?.mac;
    const known = rtnl.neighbours(link).find(({ address }) => address === hop)?.mac;
    const neighbour = node.podAt(hop)?.mac;
    const nextHop = known ?? neighbour ?? node.link(pod.gatewayLink)?.mac;
    if (from === undefined || nextHop === undefined) {
      throw new WeftError('EHOSTUNREACH', `pod ${pod.name}: no hardware address of ${hop}`);
    }
    return { link, from, nextHop };
  } finally {
    rtnl.close();
  }
}

/** The kernel sends it; a SYN is repeated after a second, when this is closed. */
function nodeSender(packet: Packet, protocol: 'tcp' | 'udp', localPort: number): Sender {
  const { source: localAddress, destination: host, port } = packet;
  const ends: (() => void)[] = [];
  return {
    sourcePort: localPort,
    send() {
      if (protocol === 'tcp') {
        const socket = connect({ host, port, localAddress, localPort });
        // Its end tells nothing that the trace does not.
        socket.on('error', () => {});
        ends.push(() => socket.resetAndDestroy());
        return;
      }
      const socket = createSocket(`udp${ipFamily(host)}`);
      socket.on('error', () => {});
      socket.bind(localPort, localAddress, () => socket.send('', port, host, () => {}));
      ends.push(() => socket.close());
    },
    close: () => {
      for (const end of ends) end();
    },
  };
}
