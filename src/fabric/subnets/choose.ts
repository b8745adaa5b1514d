import {
  type Cidr,
  cidrFamily,
  cidrOf,
  containsCidr,
  networkAddress,
  prefixLength,
} from '../../net/cidr.ts';
import { addressBits, ipFromBigInt, ipToBigInt } from '../../net/ip.ts';
import { PrefixBook } from '../../net/prefix-book.ts';
import {
  isOwnLease,
  leaseValue,
  type OwnNode,
  parseSubnetKey,
  type SubnetLease,
  type Subnets,
  subnetKey,
} from './lease.ts';
import type { NetworkConfig, SubnetPool } from './network-config.ts';

/** A lease as etcd has it now. */
export interface HeldLease {
  /** Last part of the key. */
  readonly name: string;
  /** As text, to see whether it is as it ought to be; undefined where it could not be read. */
  readonly text: string;
  readonly value: SubnetLease['value'] | undefined;
  readonly createRevision: string;
  readonly modRevision: string;
  /** The etcd lease that it ends with; `0` for a key that stays. */
  readonly leaseId: string;
}

export interface ChoiceFacts {
  readonly config: NetworkConfig;
  readonly own: OwnNode;
  readonly leases: readonly HeldLease[];
  /** What this node had last, since an earlier boot too. */
  readonly former: Subnets | undefined;
  /** Pods run with addresses of it: no other will do. */
  readonly hasPods: boolean;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export type Choice =
  /** It is this node's already, and says so, or is to say it now. */
  | {
      readonly kind: 'keep';
      readonly lease: HeldLease;
      readonly subnets: Subnets;
      readonly isRight: boolean;
    }
  | { readonly kind: 'claim'; readonly subnets: Subnets }
  /** What must not be: in words, with the cure. */
  | { readonly kind: 'refuse'; readonly reason: string };

/** flannel picks among so many, so that nodes that start together rarely want the same. */
const CANDIDATES = 100;

/** Which subnet this node is to have: the one it has, the one it had, or any that is free. */
export function chooseSubnets(facts: ChoiceFacts): Choice {
  const { config, own, leases, former, hasPods } = facts;
  if (own.addresses[4] === undefined) return { kind: 'refuse', reason: NO_ADDRESS };
  const ofUs = leases
    .filter(({ value }) => value !== undefined && isOwnLease(value, own))
    .toSorted((a, b) => Number(a.createRevision) - Number(b.createRevision));
  const isFormer = ({ name }: HeldLease) => former !== undefined && name === subnetKey(former);
  const lease = ofUs.find(isFormer) ?? (hasPods && former !== undefined ? undefined : ofUs[0]);
  const held = lease && parseSubnetKey(lease.name);
  if (lease !== undefined && held !== undefined && (hasPods || fits(held, config))) {
    return { kind: 'keep', lease, subnets: held, isRight: lease.text === leaseValue(own, config) };
  }
  const taken = new PrefixBook<string>();
  for (const each of leases) {
    for (const cidr of parseSubnetKey(each.name) ?? []) if (cidr) taken.set(cidr, ownerOf(each));
  }
  if (former !== undefined && (hasPods || fits(former, config))) {
    const others = former.flatMap((cidr) => (cidr && taken.overlapping(cidr)) ?? []);
    if (others.length === 0 && fits(former, config)) return { kind: 'claim', subnets: former };
    if (hasPods) return { kind: 'refuse', reason: whyNotAgain(former, others[0]) };
  }
  return chooseFree(config, taken, facts.random);
}

const NO_ADDRESS =
  'no default route says by which IPv4 address other nodes reach this one: set etcd.nodeAddresses (--etcd-node-address)';

function whyNotAgain(former: Subnets, other: string | undefined): string {
  const words = former.filter((cidr) => cidr !== undefined).join(' and ');
  const why =
    other === undefined ? 'is not of the configured network' : `is leased to ${other} now`;
  return (
    `the subnet ${words} of this node ${why}: its pods keep running, and no new ones start; delete that ` +
    'lease, or the pods of this node'
  );
}

function ownerOf({ value, name }: HeldLease): string {
  return value?.nodeName ?? value?.addresses[0] ?? `the lease ${name}`;
}

/** As flannel's isSubnetConfigCompat, of both families. */
function fits(subnets: Subnets, { pools }: NetworkConfig): boolean {
  const [four, six] = subnets;
  const isIn = (cidr: Cidr, { network, length, first, last }: SubnetPool) => {
    const at = ipToBigInt(networkAddress(cidr));
    return (
      prefixLength(cidr) === length &&
      containsCidr(network, cidr) &&
      at >= ipToBigInt(first) &&
      at <= ipToBigInt(last)
    );
  };
  if (!isIn(four, pools[4])) return false;
  return six === undefined ? pools[6] === undefined : pools[6] !== undefined && isIn(six, pools[6]);
}

function chooseFree(
  { pools }: NetworkConfig,
  taken: PrefixBook<string>,
  random: () => number,
): Choice {
  const free = freeSubnets(pools[4], taken);
  const four = free[Math.floor(random() * free.length)];
  if (four === undefined) return full(pools[4]);
  const six = pools[6] && twinOf(four, pools[4], pools[6], { taken, random });
  if (pools[6] === undefined) return { kind: 'claim', subnets: [four] };
  return six === undefined ? full(pools[6]) : { kind: 'claim', subnets: [four, six] };
}

/**
 * The subnet of IPv6 at the same place as that of IPv4, which one transaction gives to one node only; where
 * it is not free, one of those that are: two nodes hardly take the same.
 */
function twinOf(
  four: Cidr,
  pool4: SubnetPool,
  pool6: SubnetPool,
  { taken, random }: { readonly taken: PrefixBook<string>; readonly random: () => number },
): Cidr | undefined {
  const place = (ipToBigInt(networkAddress(four)) - ipToBigInt(pool4.first)) / sizeOf(pool4);
  const at = ipToBigInt(pool6.first) + place * sizeOf(pool6);
  if (at <= ipToBigInt(pool6.last)) {
    const twin = cidrOf(ipFromBigInt(6, at), pool6.length);
    if (taken.overlapping(twin) === undefined) return twin;
  }
  const free = freeSubnets(pool6, taken);
  return free[Math.floor(random() * free.length)];
}

/** One lease may claim all of a network of billions of subnets. */
const MOST_LOOKED = 1 << 16;

/** Addresses of one subnet. */
function sizeOf({ network, length }: SubnetPool): bigint {
  return 1n << BigInt(addressBits(cidrFamily(network)) - length);
}

function full({ network, length }: SubnetPool): Choice {
  const cure = 'delete leases of nodes that are gone, or enlarge the network';
  return { kind: 'refuse', reason: `no subnet of /${length} is free in ${network}: ${cure}` };
}

/** The first free ones. */
function freeSubnets(pool: SubnetPool, taken: PrefixBook<string>): readonly Cidr[] {
  const { network, length, first, last } = pool;
  const family = cidrFamily(network);
  const end = ipToBigInt(last);
  const free: Cidr[] = [];
  let looked = 0;
  for (let at = ipToBigInt(first); at <= end && free.length < CANDIDATES; at += sizeOf(pool)) {
    if (looked++ === MOST_LOOKED) break;
    const cidr = cidrOf(ipFromBigInt(family, at), length);
    if (taken.overlapping(cidr) === undefined) free.push(cidr);
  }
  return free;
}
