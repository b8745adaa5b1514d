import type { IpSets } from '../../../kernel/ipset-types.ts';
import type { Ipvs, IpvsChange } from '../../../kernel/ipvs-types.ts';
import type { Rtnl } from '../../../kernel/types.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { WeftError } from '../../../util/errors.ts';
import type { KnownServer } from './difference.ts';
import { isBusy } from './draining.ts';
import { KernelSets } from './kernel-sets.ts';
import { KnownState } from './known.ts';
import { readState } from './observe.ts';
import { PORTAL_LINK, PortalLink } from './portal-link.ts';
import { SET_ROLES, setName, spareSetName, strangeSetNames } from './sets.ts';

export interface RemovalKernel {
  readonly ipvs: Ipvs;
  readonly ipSets: IpSets;
  readonly rtnl: Rtnl;
}

/** Connections run through virtual servers that are to go: they stay until these have ended. */
export class DrainingError extends WeftError {
  constructor(servers: number) {
    super('DRAINING', `${servers} virtual servers still have connections, and no new ones`);
  }
}

/**
 * Removes the proxy's virtual servers of one family, its addresses and its sets, which no rules may
 * use any more; true when there was something. What has connections stays with its address where
 * `drains` says so; another mode has to translate new connections before they come to it. Throws
 * DrainingError as long as something is left: it is to be called again.
 */
export async function removeVirtualServers(
  kernel: RemovalKernel,
  { family, drains }: { readonly family: IPFamily; readonly drains: boolean },
): Promise<boolean> {
  const { ipvs, ipSets, rtnl } = kernel;
  const addresses = new PortalLink({ rtnl, family, otherAddresses: () => [] });
  const sets = new KernelSets(ipSets, family);
  const known = new KnownState();
  await readState({ ipvs, sets, addresses }, known, { family, excludeCIDRs: [] });
  const left = await removeServers(ipvs, known, drains);
  const isHeld = new Set(left.map(({ server: { key } }) => (key.kind === 'address' ? key.ip : '')));
  await addresses.remove([...known.addresses].filter((ip) => !isHeld.has(ip)));
  if (left.length > 0) throw new DrainingError(left.length);
  const hadSets = removeSets(ipSets, family);
  const hadLink = removeLink(rtnl);
  return known.servers.size > 0 || known.addresses.size > 0 || hadSets || hadLink;
}

/** Gives those that stay. */
async function removeServers(
  ipvs: Ipvs,
  known: KnownState,
  drains: boolean,
): Promise<readonly KnownServer[]> {
  const left: KnownServer[] = [];
  const changes: IpvsChange[] = [];
  for (const server of known.servers.values()) {
    const { key } = server.server;
    const observed = drains ? ipvs.destinations(key) : [];
    if (!observed.some(isBusy)) {
      changes.push({ op: 'deleteServer', key });
      continue;
    }
    left.push(server);
    for (const destination of observed) {
      if (!isBusy(destination)) changes.push({ op: 'deleteDestination', key, destination });
      else if (destination.weight > 0)
        changes.push({ op: 'setDestination', key, destination: { ...destination, weight: 0 } });
    }
  }
  await ipvs.apply(changes);
  return left;
}

function removeSets(ipSets: IpSets, family: IPFamily): boolean {
  const names = [
    ...SET_ROLES.map((role) => setName(role, family)),
    ...strangeSetNames(family),
    spareSetName(family),
  ];
  return names.map((name) => ipSets.destroy(name)).some((wasThere) => wasThere);
}

/** The other family's addresses may be on it yet. */
function removeLink(rtnl: Rtnl): boolean {
  const link = rtnl.link(PORTAL_LINK);
  if (link?.kind !== 'dummy') return false;
  if (rtnl.addresses(link.index).some((address) => address.link === link.index)) return false;
  return rtnl.deleteLink(link.index);
}
