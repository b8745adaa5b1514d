/** What of the kernel the IPVS mode works with, in one address family. */
import type { Ipvs } from '../../../kernel/ipvs-types.ts';
import type { IP } from '../../../net/ip.ts';
import type { ServiceRules } from '../iptables/kernel-rules.ts';
import type { SetEntry, SetRoleName } from './sets.ts';

/** The sets of one family. Entries given are of the sets' types. */
export interface ServiceSets {
  /** Makes what is missing; the others keep what they hold. */
  ensure(): Promise<void>;
  /** None for a set that is not there. */
  entries(role: SetRoleName): Promise<readonly SetEntry[]>;
  add(entries: readonly SetEntry[]): Promise<void>;
  remove(entries: readonly SetEntry[]): Promise<void>;
  /** How many entries each set has; a set that is gone has none. */
  sizes(): ReadonlyMap<SetRoleName, number>;
}

/** The link that holds addresses of Services, so that packets for them are this node's. */
export interface ServiceAddresses {
  /** Makes the link when it is missing. */
  ensure(): void;
  /** Those of the family. */
  read(): readonly IP[];
  add(addresses: readonly IP[]): Promise<void>;
  remove(addresses: readonly IP[]): Promise<void>;
  /** Those of the family on the other links. */
  others(): readonly IP[];
}

export interface IpvsKernel {
  readonly ipvs: Pick<Ipvs, 'servers' | 'destinations' | 'states' | 'apply'>;
  readonly sets: ServiceSets;
  readonly addresses: ServiceAddresses;
  readonly rules: ServiceRules;
  /** See KnownSchedulers. */
  readonly schedulers: {
    learn(schedulers: Iterable<string>): Promise<readonly string[]>;
    has(scheduler: string): boolean;
  };
}
