import type { Cidr } from '../net/cidr.ts';
import type { IPFamily } from '../net/ip.ts';
import type { PortRange } from '../nftables/statements.ts';
import type { LocalDetector } from './node-addresses.ts';

/** What the table of one family depends on besides Services. */
export interface LayoutOptions {
  readonly family: IPFamily;
  /** NodePorts answer on every local address but loopback, not only on `nodeport-ips`. */
  readonly acceptsOnAllAddresses: boolean;
  /** Undefined: no traffic to a clusterIP counts as coming from outside. */
  readonly localDetector: LocalDetector | undefined;
  readonly masqueradesAll: boolean;
  /** Source ports that masqueraded UDP may have; undefined for any. Replies to others are not for it. */
  readonly masqueradedUdpPorts?: PortRange | undefined;
  /** Networks of this family that clusterIPs are given from. */
  readonly serviceCIDRs: readonly Cidr[];
  /**
   * Connections are counted per endpoint, not only per frontend: a counter makes an element take
   * twice the time to add, and memory for every CPU.
   */
  readonly countsEndpoints?: boolean;
}
