/** Rules of others that a connection meets on its way through the node, as far as they can be told. Pure. */
import { hostCidr } from '../../../net/cidr.ts';
import { ipFamily } from '../../../net/ip.ts';
import type { Packet } from '../../../proxy/verdict/explanation.ts';
import { dropsOfPackets, type FilterTable } from '../../foreign/drops.ts';
import type { PacketClass } from '../../foreign/share.ts';
import type { Cause } from './cause.ts';
import type { Way } from './way.ts';

/**
 * Of its first packet: rules that ask for the state of a connection decide otherwise about the answer, which
 * only a packet shows.
 */
export function foreignCauses(
  tables: readonly FilterTable[],
  { source, destination }: Packet,
  { place, request }: Way,
): readonly Cause[] {
  if (request.outcome !== 'sent' || request.inLink === undefined) return [];
  const links = {
    inputs: [request.inLink],
    outputs: request.outLink === undefined ? [] : [request.outLink],
  };
  const asked: PacketClass = {
    ...{ family: ipFamily(source), sources: [hostCidr(source)], ...links },
    destinations: [hostCidr(destination)],
  };
  const led = { ...asked, destinations: [hostCidr(place.ip)] };
  return tables.flatMap((table) => {
    const isFirst = ({ isBeforeRouting }: FilterTable['bases'][number]) => isBeforeRouting;
    const before = { ...table, bases: table.bases.filter(isFirst) };
    const behind = { ...table, bases: table.bases.filter((base) => !isFirst(base)) };
    return [...dropsOfPackets(before, asked), ...dropsOfPackets(behind, led)].map(
      ({ chain, what, isWhole, cure }): Cause => ({
        ...{ id: 'foreign-rule', direction: 'request', cure },
        effect: isWhole ? 'drops' : 'mayDrop',
        seen: `${table.name}, chain ${chain}: ${what} drops ${isWhole ? 'it' : 'some such packets'}`,
      }),
    );
  });
}
