/** What the feature folders see of IPVS. */
import type {
  IpvsChange,
  IpvsTimeouts,
  ObservedDestination,
  VirtualServer,
  VirtualServerKey,
} from '../netlink/ipvs/types.ts';

export type {
  Destination,
  DestinationKey,
  IpvsChange,
  IpvsProtocol,
  IpvsTimeouts,
  ObservedDestination,
  VirtualServer,
  VirtualServerKey,
} from '../netlink/ipvs/types.ts';

/** One change the kernel refused. */
export interface IpvsFailure {
  readonly change: IpvsChange;
  /** The errno's name: EEXIST and ESRCH for servers, EEXIST and ENOENT for destinations … */
  readonly code: string;
  /** Names the change and, where it is known, the cure. */
  readonly message: string;
}

export interface ServerState {
  readonly server: VirtualServer;
  readonly destinations: readonly ObservedDestination[];
}

/**
 * The virtual servers of one namespace, those of others among them. There is no way to clear the
 * table: it belongs to everybody. Promises are to be awaited one after the other.
 */
export interface Ipvs {
  /** Of the kernel's IPVS: `1.2.1`. */
  readonly version: string;
  /** Every virtual server, without its destinations. */
  servers(): Promise<readonly VirtualServer[]>;
  /** Empty when there is no such server, too. */
  destinations(key: VirtualServerKey): readonly ObservedDestination[];
  /** Every server with its destinations, in parts; the event loop gets a turn before each. */
  states(): AsyncIterable<readonly ServerState[]>;
  /**
   * Makes the changes in order, many to a datagram, with a turn of the event loop now and then. The
   * kernel goes on after one that it refuses; IpvsError names them all in the end.
   */
  apply(changes: readonly IpvsChange[]): Promise<void>;
  timeouts(): IpvsTimeouts;
  /** A time of 0 stays as it is. */
  setTimeouts(timeouts: IpvsTimeouts): void;
  close(): void;
}
