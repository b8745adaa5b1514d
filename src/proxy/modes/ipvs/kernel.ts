/** What of the kernel the IPVS mode works with, in one address family. */
import type { Ipvs } from '../../../kernel/ipvs-types.ts';
import type { ServiceRules } from '../iptables/kernel-rules.ts';
import type { KernelSets } from './kernel-sets.ts';
import type { PortalLink } from './portal-link.ts';
import type { KnownSchedulers } from './probe.ts';

/** The sets of one family. Entries given are of the sets' types. */
export type ServiceSets = Pick<KernelSets, 'ensure' | 'entries' | 'add' | 'remove' | 'sizes'>;

/** The link that holds addresses of Services, so that packets for them are this node's. */
export type ServiceAddresses = Pick<PortalLink, 'ensure' | 'read' | 'add' | 'remove' | 'others'>;

export interface IpvsKernel {
  readonly ipvs: Pick<Ipvs, 'servers' | 'destinations' | 'states' | 'apply'>;
  readonly sets: ServiceSets;
  readonly addresses: ServiceAddresses;
  readonly rules: ServiceRules;
  readonly schedulers: Pick<KnownSchedulers, 'learn' | 'has'>;
}
