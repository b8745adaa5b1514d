/** Rules of others as values: which packets they are for, and what becomes of those. */
import type { Cidr } from '../net/cidr.ts';

/** One test of a packet; `isNegated` turns it round. */
export type NatCondition =
  | { readonly kind: 'source' | 'destination'; readonly network: Cidr; readonly isNegated: boolean }
  | {
      readonly kind: 'mark';
      readonly mask: number;
      readonly value: number;
      readonly isNegated: boolean;
    }
  /** A link by which it leaves; `+` at the end stands for any letters, as iptables has it. */
  | { readonly kind: 'output'; readonly name: string; readonly isNegated: boolean }
  /** The same for the link by which it came. */
  | { readonly kind: 'input'; readonly name: string; readonly isNegated: boolean }
  /** Whether the first packet of a connection that is not translated passes it. */
  | { readonly kind: 'state'; readonly isNew: boolean }
  | { readonly kind: 'family'; readonly family: 4 | 6; readonly isNegated: boolean }
  /** Some packets of every connection that is asked about pass it: a protocol, a port. */
  | { readonly kind: 'part' }
  /** Whatever else. */
  | { readonly kind: 'unknown' };

export type NatAction =
  /** `accept`: nothing more happens to it here, whatever was done. */
  | { readonly kind: 'masquerade' | 'return' | 'accept' | 'drop' | 'none' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string };

export interface NatRule {
  readonly chain: string;
  readonly conditions: readonly NatCondition[];
  readonly action: NatAction;
  /** It is one of iptables: its programs know better what it says. */
  readonly isOfIptables: boolean;
  readonly handle: bigint;
}
