import type { Link, Rtnl } from '../../../kernel/types.ts';
import { addressBits, type IP, type IPFamily, ipFamily, isLoopback } from '../../../net/ip.ts';
import { errorCode, IoError } from '../../../util/errors.ts';
import { inTurns } from '../../../util/turns.ts';

/** kube-proxy's name for it. */
export const PORTAL_LINK = 'kube-ipvs0';

/** Nobody else's, and gone at once. */
const PROBE_LINK = 'weft-probe';

export interface PortalLinkOptions {
  readonly rtnl: Rtnl;
  readonly family: IPFamily;
  /** The addresses of the other links, of both families. */
  readonly otherAddresses: () => readonly IP[];
}

/**
 * A link of kind dummy that stays down: an address on it makes packets this node's, and nothing
 * else. Both families share it.
 */
export class PortalLink {
  readonly #options: PortalLinkOptions;

  constructor(options: PortalLinkOptions) {
    this.#options = options;
  }

  /**
   * Whether `ensure` will do: a link is made and deleted unless ours is there. Throws IoError when
   * the kernel has no such links, or the name is another link's.
   */
  probe(): void {
    const { rtnl } = this.#options;
    if (rtnl.link(PORTAL_LINK) !== undefined) {
      this.#link();
      return;
    }
    createDummy(rtnl, PROBE_LINK);
    const index = rtnl.link(PROBE_LINK)?.index;
    if (index !== undefined) rtnl.deleteLink(index);
  }

  /** Makes the link when it is missing. Throws as `probe` does. */
  ensure(): void {
    createDummy(this.#options.rtnl, PORTAL_LINK);
    this.#link();
  }

  /** Those of the family. */
  read(): readonly IP[] {
    const { rtnl, family } = this.#options;
    const link = rtnl.link(PORTAL_LINK);
    if (link === undefined) return [];
    return rtnl
      .addresses(link.index)
      .filter((each) => each.link === link.index && each.scope !== 'link')
      .map(({ address }) => address)
      .filter((ip) => ipFamily(ip) === family);
  }

  /** Those of the family on the other links. */
  others(): readonly IP[] {
    const { family, otherAddresses } = this.#options;
    const isUsable = (ip: IP) => ipFamily(ip) === family && !isLoopback(ip) && !isLinkLocal(ip);
    return otherAddresses().filter(isUsable);
  }

  async add(addresses: readonly IP[]): Promise<void> {
    const { rtnl } = this.#options;
    await this.#each(addresses, (link, address) => rtnl.addAddress(link, address));
  }

  async remove(addresses: readonly IP[]): Promise<void> {
    const { rtnl } = this.#options;
    await this.#each(addresses, (link, address) => rtnl.deleteAddress(link, address));
  }

  async #each(
    addresses: readonly IP[],
    change: (link: number, address: { address: IP; prefixLength: number }) => unknown,
  ): Promise<void> {
    if (addresses.length === 0) return;
    const { index } = this.#link();
    const prefixLength = addressBits(this.#options.family);
    const changeOne = (address: IP) => change(index, { address, prefixLength });
    await inTurns(addresses, changeOne);
  }

  #link(): Link {
    const link = this.#options.rtnl.link(PORTAL_LINK);
    if (link?.kind === 'dummy') return link;
    const problem = link === undefined ? 'is gone' : `is of kind ${link.kind ?? 'hardware'}`;
    throw new IoError(`link ${PORTAL_LINK} ${problem}: it has to be a dummy link of the proxy`);
  }
}

function createDummy(rtnl: Rtnl, name: string): void {
  try {
    rtnl.createDummy(name);
  } catch (cause) {
    if (errorCode(cause) !== 'EOPNOTSUPP') throw cause;
    const cure = 'load them with "modprobe dummy", or boot a kernel built with CONFIG_DUMMY';
    throw new IoError(`this kernel has no dummy links for addresses: ${cure}`, { cause });
  }
}

/** fe80::/10 (RFC 4291 section 2.5.6): the same on many nodes, and nothing that Services use. */
function isLinkLocal(ip: IP): boolean {
  return /^fe[89ab]/i.test(ip);
}
