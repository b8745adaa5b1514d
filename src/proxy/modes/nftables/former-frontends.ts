/** What elements that no Service wants any more say of the Services they were of. */
import type { IPFamily } from '../../../net/ip.ts';
import { protocolBytes, readIPBytes, readPortBytes } from '../../../nftables/bytes.ts';
import type { Element } from '../../../nftables/model.ts';
import type { FormerFrontend } from '../../commit-listener.ts';
import type { SetName } from './sets.ts';
import { type FrontendKind, slotSet } from './slot-chains.ts';

const VERDICTS: Readonly<Record<FrontendKind, SetName>> = {
  address: 'service-ips',
  nodePort: 'service-nodeports',
};
const SLOT_BYTES = 4;
const UDP = protocolBytes('udp');

/** The UDP frontends among them whose own element is there, with the endpoints in their slots. */
export function formerFrontends(
  family: IPFamily,
  leftovers: readonly (readonly [SetName, Element])[],
): readonly FormerFrontend[] {
  const addressBytes = family === 4 ? 4 : 16;
  return (['address', 'nodePort'] as const).flatMap((kind) => {
    const at = kind === 'address' ? addressBytes : 0;
    const keys = leftovers.flatMap(([set, { key }]) => {
      return set === VERDICTS[kind] && key.startsWith(UDP, at) ? [key] : [];
    });
    const endpoints = new Map(keys.map((key) => [key, new Set<string>()]));
    const sets = [slotSet(kind, 'everybody'), slotSet(kind, 'outside')];
    for (const [set, { key, data = '' }] of leftovers) {
      const known = sets.includes(set) ? endpoints.get(key.slice(0, -SLOT_BYTES)) : undefined;
      known?.add(`${readIPBytes(data, 0, family)} ${readPortBytes(data, addressBytes)}`);
    }
    return Array.from(endpoints, ([key, targets]): FormerFrontend => {
      const port = readPortBytes(key, at + UDP.length);
      const place =
        kind === 'nodePort'
          ? { kind, protocol: 'udp' as const, port }
          : {
              kind: 'clusterIP' as const,
              ip: readIPBytes(key, 0, family),
              protocol: 'udp' as const,
              port,
            };
      return { frontend: place, endpoints: targets };
    });
  });
}
