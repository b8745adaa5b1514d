import type { ServerState, VirtualServer, VirtualServerKey } from '../../../kernel/ipvs-types.ts';
import { type Cidr, containsIP } from '../../../net/cidr.ts';
import { type IPFamily, ipFamily } from '../../../net/ip.ts';
import { destinationKey, type KnownServer } from './difference.ts';
import { portalEntry } from './fragment.ts';
import type { IpvsKernel } from './kernel.ts';
import type { KnownState } from './known.ts';
import { type Portal, portalKey, portalOf } from './model.ts';
import { entryKey, SET_ROLES, type SetRoleName } from './sets.ts';

interface ObserveOptions {
  readonly family: IPFamily;
  readonly excludeCIDRs: readonly Cidr[];
}

/** What of the kernel is read. */
interface ReadKernel {
  readonly ipvs: Pick<IpvsKernel['ipvs'], 'states'>;
  readonly sets: Pick<IpvsKernel['sets'], 'entries'>;
  readonly addresses: Pick<IpvsKernel['addresses'], 'read'>;
}

/** Of a destination that was not made as ours are: no weight is the same. */
const UNKNOWN_WEIGHT = -1;

/**
 * Reads what of the proxy is in the kernel into `known`, after making the sets and the link that are
 * missing. Gives the virtual servers that are somebody else's, by portalKey.
 */
export async function observe(
  kernel: IpvsKernel,
  known: KnownState,
  options: ObserveOptions,
): Promise<Map<string, VirtualServer>> {
  kernel.addresses.ensure();
  await kernel.sets.ensure();
  return readState(kernel, known, options);
}

/** The same without making anything. */
export async function readState(
  kernel: ReadKernel,
  known: KnownState,
  options: ObserveOptions,
): Promise<Map<string, VirtualServer>> {
  known.clear();
  const isExcluded = excluder(options.excludeCIDRs);
  for (const ip of kernel.addresses.read()) if (!isExcluded(ip)) known.addresses.add(ip);
  for (const role of SET_ROLES) {
    for (const entry of await kernel.sets.entries(role)) known.addEntry(entryKey(entry), entry);
  }
  const foreign = new Map<string, VirtualServer>();
  for await (const states of kernel.ipvs.states()) {
    for (const state of states) {
      if (!isOfFamily(state.server.key, options.family)) continue;
      const portal = portalOf(state.server.key);
      if (isExcluded(portal.ip)) continue;
      if (isOurs(portal, known)) known.servers.set(portalKey(portal), knownServer(state));
      else foreign.set(portalKey(portal), state.server);
    }
  }
  return foreign;
}

export function knownServer({ server, destinations }: ServerState): KnownServer {
  return {
    server,
    destinations: new Map(
      destinations.map(({ ip, port, weight, isMasquerading }) => {
        const destination = { ip, port, weight: isMasquerading ? weight : UNKNOWN_WEIGHT };
        return [destinationKey(destination), destination];
      }),
    ),
  };
}

/**
 * What is on record, and what is at an address that only the proxy's link has. kube-proxy keeps no
 * record of NodePorts but the sets of their ports.
 */
export function isOurs(portal: Portal, known: KnownState): boolean {
  const record = portalEntry('server', portal);
  if (known.entry(entryKey(record)) !== undefined) return true;
  if (known.addresses.has(portal.ip)) return true;
  const roles: Readonly<Record<Portal['protocol'], SetRoleName>> = {
    tcp: 'nodePortTcp',
    udp: 'nodePortUdp',
    sctp: 'nodePortSctp',
  };
  const role = roles[portal.protocol];
  const nodePort =
    role === 'nodePortSctp'
      ? portalEntry(role, portal)
      : ({ role, entry: { type: 'bitmap:port', port: portal.port } } as const);
  const hasNoRecord = known.entries('server').size === 0;
  return hasNoRecord && known.entry(entryKey(nodePort)) !== undefined;
}

function isOfFamily(key: VirtualServerKey, family: IPFamily): boolean {
  return key.kind === 'address' && ipFamily(key.ip) === family;
}

function excluder(cidrs: readonly Cidr[]): (ip: Portal['ip']) => boolean {
  return (ip) => cidrs.some((cidr) => containsIP(cidr, ip));
}
