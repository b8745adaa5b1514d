/**
 * The sets that the rules look into. Names and types are kube-proxy's (pkg/proxy/ipvs/ipset.go); it
 * has nothing for what `server`, `silent`, `silentOutside` and `refused` hold.
 */
import type { IpSetEntry, IpSetSpec, IpSetType } from '../../../kernel/ipset-types.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { formatIpSetEntry } from '../../../netlink/ipset/entry.ts';

interface SetRole {
  /** Without `KUBE-`. */
  readonly name: string;
  readonly type: IpSetType;
}

/** By what an entry says. */
const ROLES = {
  /** An endpoint of this node by which a pod may reach itself. */
  hairpin: { name: 'LOOP-BACK', type: 'hash:ip,port,ip' },
  clusterIP: { name: 'CLUSTER-IP', type: 'hash:ip,port' },
  externalIP: { name: 'EXTERNAL-IP', type: 'hash:ip,port' },
  /** Those with `externalTrafficPolicy: Local`, and so for the next ones. */
  externalIPLocal: { name: 'EXTERNAL-IP-LOCAL', type: 'hash:ip,port' },
  loadBalancer: { name: 'LOAD-BALANCER', type: 'hash:ip,port' },
  loadBalancerLocal: { name: 'LOAD-BALANCER-LOCAL', type: 'hash:ip,port' },
  /** Load balancer addresses that only some sources may use, and these sources. */
  ranged: { name: 'LOAD-BALANCER-FW', type: 'hash:ip,port' },
  range: { name: 'LOAD-BALANCER-SOURCE-CIDR', type: 'hash:ip,port,net' },
  nodePortTcp: { name: 'NODE-PORT-TCP', type: 'bitmap:port' },
  nodePortUdp: { name: 'NODE-PORT-UDP', type: 'bitmap:port' },
  nodePortSctp: { name: 'NODE-PORT-SCTP-HASH', type: 'hash:ip,port' },
  nodePortLocalTcp: { name: 'NODE-PORT-LOCAL-TCP', type: 'bitmap:port' },
  nodePortLocalUdp: { name: 'NODE-PORT-LOCAL-UDP', type: 'bitmap:port' },
  nodePortLocalSctp: { name: 'NODE-PORT-LOCAL-SCTP-HASH', type: 'hash:ip,port' },
  healthCheck: { name: 'HEALTH-CHECK-NODE-PORT', type: 'bitmap:port' },
  /** Addresses that the link holds: nothing else may answer on them. */
  address: { name: 'IPVS-IPS', type: 'hash:ip' },
  /** The virtual servers that are the proxy's: what is on record here survives a restart. */
  server: { name: 'IPVS-SERVERS', type: 'hash:ip,port' },
  /** Frontends that stay silent, to everybody or to clients that are neither this node nor its pods. */
  silent: { name: 'IPVS-DROP', type: 'hash:ip,port' },
  silentOutside: { name: 'IPVS-DROP-OUTSIDE', type: 'hash:ip,port' },
  /** Frontends that nobody serves. */
  refused: { name: 'IPVS-REJECT', type: 'hash:ip,port' },
} as const satisfies Readonly<Record<string, SetRole>>;

export type SetRoleName = keyof typeof ROLES;

// The keys are those of the record, all of them.
export const SET_ROLES = Object.keys(ROLES) as readonly SetRoleName[];

/** Entries of each hash at the most: kube-proxy's default stops at 65,536. */
const MAX_ELEMENTS = 1_048_576;
const HASH_SIZE = 1_024;
const LAST_PORT = 65_535;
/** IPSET_MAXNAMELEN without its final zero; kube-proxy cuts off what is longer, too. */
const MAX_NAME_LENGTH = 31;

/** `KUBE-CLUSTER-IP`, or `KUBE-6-CLUSTER-IP`. */
export function setName(role: SetRoleName, family: IPFamily): string {
  return prefixed(ROLES[role].name, family);
}

/** Sets that only kube-proxy uses, which go with the others. */
export function strangeSetNames(family: IPFamily): readonly string[] {
  return ['LOAD-BALANCER-SOURCE-IP'].map((name) => prefixed(name, family));
}

/** Holds the entries of a set while it is made anew. */
export function spareSetName(family: IPFamily): string {
  return prefixed('IPVS-SPARE', family);
}

function prefixed(name: string, family: IPFamily): string {
  return `KUBE-${family === 4 ? '' : '6-'}${name}`.slice(0, MAX_NAME_LENGTH);
}

export function setSpec(role: SetRoleName, family: IPFamily): IpSetSpec {
  const name = setName(role, family);
  const { type } = ROLES[role];
  return type === 'bitmap:port'
    ? { name, type, firstPort: 0, lastPort: LAST_PORT }
    : { name, type, family, maxElements: MAX_ELEMENTS, hashSize: HASH_SIZE };
}

/** The kinds of sets that the kernel has to know. */
export const SET_TYPES: readonly IpSetType[] = [
  ...new Set(SET_ROLES.map((role) => ROLES[role].type)),
];

/** One entry of one of the sets. */
export interface SetEntry {
  readonly role: SetRoleName;
  readonly entry: IpSetEntry;
}

/** Entries that are the same in the kernel have the same. */
export function entryKey({ role, entry }: SetEntry): string {
  return `${role} ${formatIpSetEntry(entry)}`;
}
