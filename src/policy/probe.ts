import type { Protocol } from '../kube/types.ts';
import type { IPFamily } from '../net/ip.ts';

/** Names as `Parties.resolve` takes them; the destination may be a Service too. */
export interface Probe {
  readonly from: string;
  readonly to: string;
  readonly protocol: Protocol | 'ICMP';
  /** 0 for ICMP. */
  readonly port: number;
  /** Absent: the family of the destination's first address that the source has too. */
  readonly family?: IPFamily | undefined;
  /** What the asker expects, if anything. */
  readonly allowed?: boolean | undefined;
}

/** `error` stands for a question about somebody who is not there. */
export type ProbeAnswer =
  | {
      readonly allowed: boolean;
      /** Policies allow it at some of the places where it may go: neither allowed nor denied. */
      readonly partly?: true;
      readonly reason: string;
    }
  | { readonly error: string };
