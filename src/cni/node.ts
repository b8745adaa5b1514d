/** What the verbs need of the machine, passed in so that tests and the agent choose it. */

import type { Iptables } from '../iptables/programs-sync.ts';
import type { Announcement } from '../kernel/announce.ts';
import type { Conntrack, Netns, Netnses, NodeRtnl, Sysctls } from '../kernel/types.ts';
import type { IP } from '../net/ip.ts';
import type { NftablesConnection } from '../nftables/connection.ts';
import type { HostLocalConfig, LeasedAddress } from './address-config.ts';
import type { Attachment, NetnsPlace } from './attachment.ts';
import type { AttachmentRecords } from './attachment-records.ts';
import type { BootGate } from './boot-gate.ts';
import type { HostPortStore } from './host-ports.ts';
import type { PodPolicies } from './pod-policies.ts';
import type { Request } from './protocol/request.ts';
import type { Dns, ResultRoute } from './protocol/result.ts';
import type { SpecVersion } from './protocol/versions.ts';

/** The part of NftablesConnection that is needed. */
export type Nftables = Pick<
  NftablesConnection,
  | 'commit'
  | 'generation'
  | 'tables'
  | 'chains'
  | 'hasChain'
  | 'rules'
  | 'sets'
  | 'damagedChains'
  | 'otherObjects'
  | 'elements'
  | 'close'
>;

/** The firewalld of one node. Each call holds up the thread for milliseconds and is bounded. */
export interface Firewalld {
  /** False also where nobody can be asked. Starts nothing. */
  isRunning(): boolean;
  /** A source that a zone has already stays there. Throws IoError. */
  addSource(zone: string, address: IP): void;
  /** One that is not in the zone is no error. Throws IoError. */
  removeSource(zone: string, address: IP): void;
  /** Throws IoError. */
  hasSource(zone: string, address: IP): boolean;
}

export interface CniKernel {
  readonly netnses: Netnses;
  /** The node's namespace when none is given. The caller closes it. */
  openRtnl(netns?: Netns): NodeRtnl;
  readonly sysctls: Sysctls;
  /** Connects with the first request. */
  openNftables(): Nftables;
  /** Connection tracking of the node. The caller closes it. */
  openConntrack(): Conntrack;
  /** Tells pods behind ports where an address is; gives how many were told. */
  announce(announcements: readonly Announcement[]): number;
  /** Absent: nobody's rules of iptables are looked for, and none can be made. */
  readonly iptables?: Iptables;
  /** Absent: nobody asks firewalld. */
  readonly firewalld?: Firewalld;
  /**
   * Keeps other ADDs out of a pod until what it gives is called or the process ends. Throws BusyError
   * when another process is at work there for too long.
   */
  claimNetns(netns: Netns): () => void;
  /** Holds up the calling thread, milliseconds. */
  pause(ms: number): void;
}

export interface Lease {
  readonly ips: readonly LeasedAddress[];
  readonly dns: Dns;
  /** Absent: those of the configuration. */
  readonly routes?: readonly ResultRoute[];
}

/** Address reservations that outlive the process. */
export interface Ipam {
  /** One address per range set. Throws ConfigError, BusyError when there is none left. */
  reserve(
    owner: Attachment,
    config: HostLocalConfig,
    options: {
      readonly requestedIPs: readonly IP[];
      readonly cniVersion: SpecVersion;
      /** Whether what the owner holds already is a leftover, to be taken over. Absent: never. */
      readonly isLeftover?: () => boolean;
    },
  ): Lease;
  /** Addresses reserved for the owner; none when there is no store. */
  held(owner: Attachment, dataDir: string | undefined): readonly IP[];
  /** Gives back what the owner holds; nothing held is no error. */
  release(owner: Attachment, dataDir: string | undefined): void;
  /** Everybody who holds something of a network; one-line reservations have no `ifName`. */
  owners(network: string, dataDir: string | undefined): readonly ReservationOwner[];
  /**
   * Throws CniError 50 when nothing can be reserved or given back, ConfigError when it never could. A
   * range without a free address is no failure: see bridge/status.ts.
   */
  status(
    network: string,
    config: HostLocalConfig,
    options: { readonly cniVersion: SpecVersion },
  ): void;
}

export interface ReservationOwner {
  readonly containerId: string;
  readonly ifName?: string;
  readonly address: IP;
}

/** Address sources other than host-local: `static`, and plugins that are executed. */
export interface ForeignIpam {
  /** Whether plugins are executed here; not where that would hold up other calls. */
  readonly canExec: boolean;
  /** Throws CniError; nothing stays reserved then. */
  add(request: Request, type: string): Lease;
  /** Nothing reserved is no error. */
  del(request: Request, type: string): void;
  check(request: Request, type: string): void;
  status(request: Request, type: string): void;
  gc(request: Request, type: string): void;
}

/** Remembers attachments whose ADD has begun, so that a killed one is cleaned by the next call. */
export interface Journal {
  /** Whether an ADD of the attachment began and did not end. */
  isUnfinished(attachment: Attachment): boolean;
  begin(attachment: Attachment, netns?: NetnsPlace): void;
  end(attachment: Attachment): void;
  /** Where the ADD that has begun is at work; undefined when there is none, or it was not told. */
  netnsOf(attachment: Attachment): NetnsPlace | undefined;
  /** Those that are still in progress, and those that never will end. */
  unfinished(): readonly Attachment[];
}

export interface CniNode {
  readonly kernel: CniKernel;
  readonly ipam: Ipam;
  /** Absent: host-local is the only type there is. */
  readonly foreignIpam?: ForeignIpam;
  readonly journal: Journal;
  readonly hostPorts: HostPortStore;
  /** Asked by ADD and STATUS of networks that wait for the fabric. */
  readonly fabricGate: BootGate;
  /** Asked by STATUS of networks whose pods have policies. */
  readonly policyGate: BootGate;
  /** Who programs the policies of new pods; absent where nobody does in this process. */
  readonly policies?: PodPolicies;
  /**
   * What attachments are, for upkeep: written by whoever makes the interface, removed with it.
   * Absent: nothing is remembered.
   */
  readonly records?: AttachmentRecords;
  /**
   * Ends the connections of released addresses soon, many at a time, while quarantine keeps them from
   * new owners. Absent in a process that does not live on: it ends them at once.
   */
  readonly endFlowsSoon?: (addresses: readonly IP[]) => void;
  /**
   * Whether a pod's address is masqueraded by somebody else now: then ipMasq does nothing for it.
   * Absent: by nobody.
   */
  readonly isMasqueradedElsewhere?: (address: IP) => boolean;
  /** Our release, for the about line. */
  readonly version: string;
  /** The machine id or another text that stays the same across restarts. */
  readonly nodeId: string;
}

/** A node that remembers its attachments. */
export type UpkeepNode = CniNode & Required<Pick<CniNode, 'records'>>;

/** Runs `job` with rtnetlink in a namespace, the node's when none is given. */
export function withRtnl<T>(
  kernel: CniKernel,
  netns: Netns | undefined,
  job: (rtnl: NodeRtnl) => T,
): T {
  const rtnl = kernel.openRtnl(netns);
  try {
    return job(rtnl);
  } finally {
    rtnl.close();
  }
}

/** Runs `job` with a connection to nf_tables of the node. */
export function withNftables(kernel: CniKernel, job: (nft: Nftables) => void): void {
  const nft = kernel.openNftables();
  try {
    job(nft);
  } finally {
    nft.close();
  }
}
