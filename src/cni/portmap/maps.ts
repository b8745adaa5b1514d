/** The maps of table `inet weft-hostports` and what its rules ask packets for, per family. */
import type { IPFamily } from '../../net/ip.ts';
import { u8Bytes } from '../../nftables/bytes.ts';
import { numgenRandom } from '../../nftables/generators.ts';
import type { NamedSet, Rule } from '../../nftables/model.ts';
import { ct, ip, ip6, meta, type Selector, th } from '../../nftables/selectors.ts';
import { match, type Statement } from '../../nftables/statements.ts';

export type PortMapName =
  | 'ports'
  | 'address-ports'
  | 'conditional-ports'
  | 'conditional-address-ports';
export type MapName = PortMapName | 'pods';

export const FAMILIES: readonly IPFamily[] = [4, 6];
export const SUFFIX = { 4: 'ip', 6: 'ip6' } as const;
/** uapi/linux/netfilter.h NFPROTO_IPV4 and NFPROTO_IPV6. */
const NFPROTO = { 4: u8Bytes(2), 6: u8Bytes(10) } as const;
export const FIELDS = {
  4: { ...ip, originalDaddr: ct.originalDaddr4 },
  6: { ...ip6, originalDaddr: ct.originalDaddr6 },
} as const;

export const MAPS = {
  4: mapsOf(4),
  6: mapsOf(6),
} as const;

function mapsOf(family: IPFamily): Readonly<Record<MapName, NamedSet>> {
  const { daddr } = FIELDS[family];
  const portKey = [meta.l4proto, th.dport];
  const target = [daddr, th.dport];
  const map = (name: MapName, key: NamedSet['key'], data: 'verdict' | readonly Selector[]) => {
    return { name: `${name}-${SUFFIX[family]}`, key, data };
  };
  const conditional = [...portKey, numgenRandom(1)];
  return {
    ports: map('ports', portKey, target),
    'address-ports': map('address-ports', [daddr, ...portKey], target),
    'conditional-ports': map('conditional-ports', conditional, target),
    'conditional-address-ports': map('conditional-address-ports', [daddr, ...conditional], target),
    pods: map('pods', [daddr], 'verdict'),
  };
}

export function isFamily(family: IPFamily): Statement {
  return match(meta.nfproto, '==', NFPROTO[family]);
}

export function rule(statements: readonly Statement[]): Rule {
  return { statements };
}
