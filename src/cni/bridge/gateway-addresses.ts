import type { Link, Rtnl } from '../../kernel/types.ts';
import {
  addressOf,
  cidrFamily,
  containsIP,
  type IPWithPrefix,
  ipWithPrefix,
  networkOf,
  prefixLength,
} from '../../net/cidr.ts';
import { errorCode } from '../../util/errors.ts';
import type { GatewayAddresses } from '../node-plan.ts';

/**
 * Gives the link the gateways' addresses. In the way is another address of IPv4, or one of IPv6 whose
 * network overlaps, that no pod of this plan uses; several IPv6 networks side by side are fine, and
 * with `keepsOthers` of IPv4 too. As the reference's ensureAddr. Throws when something is in the way and must stay.
 */
export function ensureAddresses(host: Rtnl, link: Link, plan: GatewayAddresses): void {
  if (plan.addresses.length === 0) return;
  const present = addressesOf(host, link);
  for (const wanted of plan.addresses) {
    if (present.includes(wanted)) continue;
    for (const other of present) {
      if (plan.addresses.includes(other) || !isInTheWay(other, wanted, plan)) continue;
      if (!plan.mayReplaceAddresses) {
        throw new Error(`"${link.name}" already has an IP address different from ${wanted}`);
      }
      host.deleteAddress(link.index, linkAddress(other));
    }
    addAddress(host, link, wanted);
  }
}

/** All addresses of a link, link-local ones among them. */
export function addressesOf(rtnl: Rtnl, link: Pick<Link, 'index'>): readonly IPWithPrefix[] {
  return rtnl
    .addresses(link.index)
    .map(({ address, prefixLength: length }) => ipWithPrefix(address, length));
}

/** The address in the shape rtnetlink takes. */
export function linkAddress(address: IPWithPrefix) {
  return { address: addressOf(address), prefixLength: prefixLength(address) };
}

/** Whether an error is what the kernel says where IPv6 is switched off: disable_ipv6, ipv6.disable=1. */
export function isIPv6Disabled(address: IPWithPrefix, thrown: unknown): boolean {
  const code = errorCode(thrown);
  return cidrFamily(address) === 6 && (code === 'EACCES' || code === 'ENOTSUP');
}

function isInTheWay(
  present: IPWithPrefix,
  wanted: IPWithPrefix,
  { keepsOthers = false }: GatewayAddresses,
): boolean {
  if (cidrFamily(present) !== cidrFamily(wanted)) return false;
  if (cidrFamily(wanted) === 4 && !keepsOthers) return true;
  return (
    containsIP(networkOf(present), addressOf(wanted)) ||
    containsIP(networkOf(wanted), addressOf(present))
  );
}

function addAddress(host: Rtnl, link: Link, address: IPWithPrefix): void {
  try {
    host.addAddress(link.index, linkAddress(address));
  } catch (cause) {
    if (!isIPv6Disabled(address, cause)) throw cause;
    const text = `cannot give ${address} to "${link.name}": IPv6 is disabled on this node`;
    throw new Error(text, { cause });
  }
}
