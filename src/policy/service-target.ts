/** What a question to a Service becomes: policies see connections after DNAT, so pods are asked about. */
import type { IP, IPFamily } from '../net/ip.ts';
import type { Party, Unresolved } from './parties.ts';
import type { Traffic } from './ports.ts';

/** Where one connection may go. */
export interface Behind {
  readonly ip: IP;
  readonly port: number;
}

/** A Service that has addresses of its own. */
export interface VirtualService {
  /** How reasons call it. */
  readonly name: string;
  readonly families: readonly IPFamily[];
  /** All places where a connection from there may go; never an empty list. */
  readonly behind: (
    traffic: Traffic,
    from: Party,
    family: IPFamily,
  ) => readonly Behind[] | Unresolved;
}

export interface Services {
  /** By `namespace/name` or clusterIP; undefined: nothing of a Service. */
  named(text: string): VirtualService | Unresolved | undefined;
  /** What to add where an address that is nobody's is judged. */
  readonly noteOnAddress: string | undefined;
}
