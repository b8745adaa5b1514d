import { type Cidr, cidrFamily } from '../net/cidr.ts';
import type { IP } from '../net/ip.ts';

/** A pod's address whose traffic leaves the pods' networks under the node's address. */
export interface MasqueradeEntry {
  readonly address: IP;
  /** The pod's own network: nothing that goes there is masqueraded. */
  readonly subnet: Cidr;
  /** More networks of that family where pods keep their address, those of other nodes; never empty. */
  readonly except?: readonly Cidr[];
}

/** The entry of one address. */
export function masqueradeEntry(
  address: IP,
  subnet: Cidr,
  networks: readonly Cidr[],
): MasqueradeEntry {
  const except = networks.filter((network) => cidrFamily(network) === cidrFamily(subnet));
  return { address, subnet, ...(except.length === 0 ? {} : { except }) };
}

/** Those of the entries that are the CNI plugin's to masquerade. */
export function ownEntries(
  entries: readonly MasqueradeEntry[],
  isElsewhere: ((address: IP) => boolean) | undefined,
): readonly MasqueradeEntry[] {
  return isElsewhere === undefined
    ? entries
    : entries.filter(({ address }) => !isElsewhere(address));
}

/** Where traffic keeps the pod's address, each network once. */
export function exemptNetworks({ subnet, except = [] }: MasqueradeEntry): readonly Cidr[] {
  return [...new Set([subnet, ...except])];
}
