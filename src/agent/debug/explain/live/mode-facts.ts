/** What the kernel tells of the sockets and virtual servers that a mode of the proxy works by. */
import { openIpvs } from '../../../../kernel/ipvs.ts';
import type { ObservedDestination } from '../../../../kernel/ipvs-types.ts';
import { type IP, ipFamily } from '../../../../net/ip.ts';
import type { Packet } from '../../../../proxy/verdict/explanation.ts';
import { holdersOf, listenersAt, ownSockets } from '../../../checks/facts/listeners.ts';
import { type Holder, NOBODY } from './mode-steps.ts';

/** Of the virtual server at a packet's destination. Throws IoError without IPVS. */
export function readDestinations({
  destination: ip,
  protocol,
  port,
}: Packet): readonly ObservedDestination[] {
  const ipvs = openIpvs();
  try {
    return ipvs.destinations({ kind: 'address', ip, protocol, port });
  } finally {
    ipvs.close();
  }
}

/** Who has the socket that the kernel hands a connection to: one at the address before one at all addresses. */
export async function readListener(ip: IP, port: number, protocol: 'tcp' | 'udp'): Promise<Holder> {
  const all = (await listenersAt(new Set([port]))).filter((each) => each.protocol === protocol);
  const named = ipFamily(ip) === 4 ? [ip, '0.0.0.0', '[::]'] : [`[${ip}]`, '[::]'];
  const found = named.flatMap((name) => all.find(({ address }) => address === name) ?? [])[0];
  if (found === undefined) return { who: NOBODY, isOurs: false };
  const { inode } = found;
  if (ownSockets().has(inode)) return { who: 'this agent', isOurs: true };
  return { who: holdersOf(new Set([inode])).get(inode) ?? 'a program', isOurs: false };
}
