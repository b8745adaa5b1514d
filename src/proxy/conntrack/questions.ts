import type { FlowFilter } from '../../kernel/types.ts';
import type { IP, IPFamily } from '../../net/ip.ts';
import type { Frontend } from '../claims.ts';
import { IPS_SEEN_REPLY, PROTOCOL_NUMBERS, type SweptProtocol } from './frontends.ts';

/**
 * Each question has the kernel look through the whole table: some tens of nanoseconds an entry, on
 * another thread. Above this many it is cheaper to be told of all flows of the protocol.
 */
const MOST_QUESTIONS = 16;

/**
 * What to ask the kernel about the flows of some frontends of one protocol. It picks them by the
 * original destination: address and port on IPv4, the port on IPv6 (whose addresses it compares
 * wrongly, see encodeFlowFilter) and for NodePorts, which have many addresses. `isUnanswered`: only flows
 * without a reply.
 */
export function planQuestions(
  family: IPFamily,
  protocol: SweptProtocol,
  frontends: Iterable<Frontend>,
  isUnanswered = false,
): readonly FlowFilter[] {
  const wholePorts = new Set<number>();
  const addresses = new Map<string, { readonly destination: IP; readonly port: number }>();
  for (const frontend of frontends) {
    if (frontend.protocol !== protocol) continue;
    const { port } = frontend;
    if (frontend.kind === 'nodePort' || family === 6) wholePorts.add(port);
    else addresses.set(`${frontend.ip} ${port}`, { destination: frontend.ip, port });
  }
  const scope = {
    ...{ family, protocol: PROTOCOL_NUMBERS[protocol] },
    ...(isUnanswered ? { status: { value: 0, mask: IPS_SEEN_REPLY } } : {}),
  };
  const originals = [
    ...Array.from(wholePorts, (destinationPort) => ({ destinationPort })),
    ...[...addresses.values()]
      .filter(({ port }) => !wholePorts.has(port))
      .map(({ destination, port }) => ({ destination, destinationPort: port })),
  ];
  if (originals.length > MOST_QUESTIONS) return [scope];
  return originals.map((original) => ({ ...scope, original }));
}
