import type { IP } from '../net/ip.ts';
import type { Clock } from '../util/clock.ts';
import type { Service } from './types.ts';

/** A lease that one agent has at a time. */
export interface ExclusiveLease {
  /**
   * Takes it, or renews it: whether it is ours now. Throws ApiError, with status 409 where somebody was
   * quicker, and IoError.
   */
  take(signal: AbortSignal): Promise<boolean>;
}

export interface LeaseOptions {
  readonly namespace: string;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Who wants it: the node. */
  readonly identity: string;
  /** Whoever has not renewed for so long has lost it. Whole seconds. */
  readonly leaseMs: number;
  readonly clock: Clock;
}

/** By what the agents of a cluster agree, and where they note what they have agreed on. */
export interface Agreement {
  lease(options: LeaseOptions): ExclusiveLease;
  /**
   * Writes which addresses a Service has, as it was when it was read. Throws ApiError: 404 and 409 where it is
   * another one by now.
   */
  writeAddresses(service: Service, addresses: readonly IP[], signal: AbortSignal): Promise<void>;
  /** Takes away what is noted of Services that are gone; absent where that goes with them. */
  readonly forgetOthers?: (services: ReadonlySet<string>, signal: AbortSignal) => Promise<void>;
  /** How agents see which leases others have. */
  readonly sight: LeaseSight;
}

export type LeaseSight =
  /** The Lease objects tell of each renewal. */
  | { readonly kind: 'told' }
  /** Names of the leases whose names begin so and that somebody has now. */
  | {
      readonly kind: 'asked';
      readonly holders: (
        namespace: string,
        prefix: string,
        signal: AbortSignal,
      ) => Promise<readonly string[]>;
    }
  /** They do not. */
  | { readonly kind: 'none' };
