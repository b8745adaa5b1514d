/** What attachments publish on their node, and where it is remembered. */
import type { Cidr } from '../net/cidr.ts';
import type { IP, IPFamily } from '../net/ip.ts';
import type { Attachment, NetnsPlace } from './attachment.ts';

export type PortProtocol = 'tcp' | 'udp' | 'sctp';

/**
 * Whose source address is replaced by the node's: nobody's, that of connections whose answers would
 * otherwise not come back (from the node's loopback, the pod itself and its neighbours on the
 * subnet), or everybody's.
 */
export type MasqueradeScope = 'none' | 'subnet' | 'all';

/** How host ports become rules of iptables. */
export interface IptablesOptions {
  /** Packets whose source is to be replaced go there; absent: to a chain that sets the mark. */
  readonly setMarkChain?: string;
  /** Of the mark that is set, counted from 0. */
  readonly markBit: number;
  /** Words of a match that a packet must meet before its port is looked at. */
  readonly conditions: Readonly<Record<IPFamily, readonly string[]>>;
}

/** One port of the node that leads to a pod. */
export interface HostPort {
  readonly family: IPFamily;
  readonly protocol: PortProtocol;
  readonly port: number;
  /** Absent: on every address of the node. */
  readonly address?: IP;
  /** What a packet must meet besides, in the syntax of its back end; absent: nothing. */
  readonly condition?: string;
  readonly target: IP;
  readonly targetPort: number;
}

/** An address of the pod and the network it shares with its neighbours. */
export interface PodAddress {
  readonly address: IP;
  readonly subnet: Cidr;
}

export interface HostPortRecord {
  readonly attachment: Attachment;
  /** The pod's; absent in records of earlier releases. */
  readonly netns?: NetnsPlace;
  /** `<namespace>/<name>`, when the runtime told. */
  readonly pod?: string;
  readonly ports: readonly HostPort[];
  /** The addresses that ports lead to: at most one of each family. */
  readonly pods: readonly PodAddress[];
  readonly masquerade: MasqueradeScope;
  /** Present: its ports are rules of iptables, not elements. */
  readonly iptables?: IptablesOptions;
  /** Link of the node towards the pod on which 127.0.0.0/8 is routed. */
  readonly loopbackLink?: string;
}

export interface HostPortConflict {
  readonly port: HostPort;
  readonly owner: HostPortRecord;
}

/** Changes to the store, for the holder of its lock. */
export interface HostPortLedger {
  /** The first port of the record that another record has already. */
  conflict(record: HostPortRecord): HostPortConflict | undefined;
  /** Pod addresses are taken over from whoever had them before. */
  add(record: HostPortRecord): void;
  /**
   * The record with only those ports and addresses that nobody else has claimed since. What a dead
   * attachment left may be in use by another one: only this part may be taken out of the kernel.
   */
  owned(record: HostPortRecord): HostPortRecord;
  remove(record: HostPortRecord): void;
  /** Removes a spoilt record, with the claims that cannot be understood either. */
  discard(attachment: Attachment): void;
}

/** What all attachments publish: what the kernel's table shall hold. */
export interface HostPortStore {
  /** What the attachment publishes. Needs no lock. */
  record(attachment: Attachment): HostPortRecord | undefined;
  /** There is a record of the attachment that cannot be understood. Needs no lock. */
  isSpoilt(attachment: Attachment): boolean;
  /** Somebody is writing, or was killed while writing: `locked` clears that. Needs no lock. */
  isUnfinished(): boolean;
  /** All records; files that cannot be understood are left out. */
  records(): readonly HostPortRecord[];
  /**
   * Runs `job` while no other process changes the store or the table. Throws BusyError when the
   * lock is not to be had in time, IoError when the store cannot be written.
   */
  locked<T>(job: (ledger: HostPortLedger) => T): T;
}
