/** Who is meant by the names that people use: pods, nodes, Services and their ports. */
import { type IP, type IPFamily, ipFamily, tryParseIP } from '../../net/ip.ts';
import type { Party } from '../../policy/parties.ts';
import type { Protocol, ServicePort } from '../../proxy/service.ts';
import type { ProxySnapshot } from '../../proxy/snapshot.ts';
import type { Packet } from '../../proxy/verdict/explanation.ts';
import { WeftError } from '../../util/errors.ts';

/** A packet by names: `namespace/name` of a pod or Service, `node/name`, or addresses. */
export interface NamedPacket {
  readonly from: string;
  readonly to: string;
  /** A number, or the name that the Service or the pod has for it. */
  readonly port: string;
  readonly protocol: Protocol;
  readonly inInterface?: string;
}

export interface NameSources {
  /** A pod or node by name; undefined: nobody of that name is known. */
  readonly partyOf: (name: string) => NamedParty | undefined;
  readonly snapshots: ReadonlyMap<IPFamily, ProxySnapshot>;
}

export interface NamedParty {
  readonly ips: readonly IP[];
  /** Those that have a name. */
  readonly ports: Extract<Party, { kind: 'pod' }>['ports'];
}

interface Target {
  readonly ip: IP;
  readonly port: number;
}

/**
 * The packet that is meant. A Service goes before a pod of its name. Of several address families that
 * both sides have, the first of the source's counts. Throws ENOENT for a name that nobody has, EINVAL
 * where there is no such port or no family in common.
 */
export function packetOf(named: NamedPacket, sources: NameSources): Packet {
  const { from, to, port, protocol, inInterface } = named;
  const sourceIPs = addressesOf(from, sources);
  const targets = targetsOf(named, sources);
  for (const source of sourceIPs) {
    const target = targets.find(({ ip }) => ipFamily(ip) === ipFamily(source));
    if (target === undefined) continue;
    const packet = { source, destination: target.ip, protocol, port: target.port };
    return inInterface === undefined ? packet : { ...packet, inInterface };
  }
  if (sourceIPs.length === 0) throw new WeftError('EINVAL', `${from} has no address yet`);
  if (targets.length === 0) throw new WeftError('EINVAL', `${to} has no address for port ${port}`);
  throw new WeftError('EINVAL', `${from} and ${to} have no address family in common`);
}

function addressesOf(name: string, { partyOf }: NameSources): readonly IP[] {
  const ip = tryParseIP(name);
  return ip === undefined ? requireParty(name, partyOf(name)).ips : [ip];
}

function targetsOf(named: NamedPacket, sources: NameSources): readonly Target[] {
  const { to, port } = named;
  const ip = tryParseIP(to);
  if (ip !== undefined) return [{ ip, port: requireNumber(port, to) }];
  const services = [...sources.snapshots.values()].flatMap(
    (snapshot) => [...snapshot.services()].find(([key]) => key === to)?.[1].ports ?? [],
  );
  if (services.length > 0) return serviceTargets(services, named);
  const party = requireParty(to, sources.partyOf(to));
  const own = party.ports.find(({ name, protocol }) => {
    return name === port && protocol.toLowerCase() === named.protocol;
  });
  const number = own?.port ?? requireNumber(port, to);
  return party.ips.map((address) => ({ ip: address, port: number }));
}

function serviceTargets(
  ports: readonly ServicePort[],
  { to, port, protocol }: NamedPacket,
): readonly Target[] {
  const found = ports.filter(
    (each) => each.protocol === protocol && [each.portName, String(each.port)].includes(port),
  );
  if (found.length > 0)
    return found.map(({ clusterIP, port: number }) => ({ ip: clusterIP, port: number }));
  const texts = ports.map((each) => {
    const name = each.portName === '' ? '' : `${each.portName} `;
    return `${name}${each.port}/${each.protocol}`;
  });
  const has = [...new Set(texts)].slice(0, 10).join(', ');
  throw new WeftError('EINVAL', `Service ${to} has no port ${port}/${protocol}; it has ${has}`);
}

function requireParty(name: string, party: NamedParty | undefined): NamedParty {
  if (party !== undefined) return party;
  const what = name.startsWith('node/') ? 'Node' : 'pod or Service';
  throw new WeftError('ENOENT', `no ${what} ${name} that this agent knows; its address will do`);
}

function requireNumber(text: string, of: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new WeftError('EINVAL', `${of} has no port "${text}" that is known here: give its number`);
}
