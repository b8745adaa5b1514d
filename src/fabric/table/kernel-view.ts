import type { IP } from '../../net/ip.ts';
import { ipFamily } from '../../net/ip.ts';
import { WITHOUT_NFTABLES } from '../../nftables/absence.ts';
import { ipBytes } from '../../nftables/bytes.ts';
import type { NftablesConnection } from '../../nftables/connection.ts';
import { TABLE_FLAG } from '../../nftables/constants.ts';
import type { Element } from '../../nftables/model.ts';
import { unlessErrno } from '../../util/errno.ts';
import { FABRIC_TABLE, FAMILIES, SETS } from './definition.ts';

/** There is no such table or set, or no nf_tables. */
const ABSENT: readonly string[] = ['ENOENT', ...WITHOUT_NFTABLES];

/**
 * Which pods' addresses the table in the kernel masquerades at this moment; none when there is none or
 * it sleeps. For processes that did not make it. Throws NftablesError.
 */
export function readMasqueraded(
  nft: Pick<NftablesConnection, 'tables' | 'elements'>,
): (address: IP) => boolean {
  const ranges = unlessErrno(ABSENT, () => (isAwake(nft) ? readRanges(nft) : undefined));
  if (ranges === undefined) return () => false;
  return (address) => {
    const key = ipBytes(address);
    return ranges.get(ipFamily(address))?.some((range) => isIn(range, key)) ?? false;
  };
}

function isAwake(nft: Pick<NftablesConnection, 'tables'>): boolean {
  const { family, name } = FABRIC_TABLE;
  const table = nft.tables(family).find((each) => each.name === name);
  return table !== undefined && (table.flags & TABLE_FLAG.DORMANT) === 0;
}

function readRanges(nft: Pick<NftablesConnection, 'elements'>) {
  return new Map(
    FAMILIES.map(
      (family) => [family, nft.elements(FABRIC_TABLE, SETS[family].masqueraded)] as const,
    ),
  );
}

/** Register bytes are in network order, so that they compare as the addresses do. */
function isIn({ key, keyEnd = key }: Element, address: string): boolean {
  return key <= address && address <= keyEnd;
}
