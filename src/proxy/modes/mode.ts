/**
 * What a mode is: one way to keep Services in the kernel of a node. Each is a folder beside this page, whose
 * `mode.ts` has it as a value; `modes.ts` has them all, and the agent takes one (`src/agent/proxy/open-mode.ts`).
 *
 * Another one is: its name and its rules in `names.ts`, its folder, and its line in `modes.ts`. What its verdicts differ in
 * stands in `../verdict/mode-traits.ts`; `test/support/flows/modes.ts` tries it with every flow of the table.
 */
import type { IptablesVariant } from '../../iptables/command.ts';
import type { NodeEvents, Watch } from '../../kernel/node-events.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import type { Frontend } from '../claims.ts';
import type { CommitListener } from '../commit-listener.ts';
import type { ServiceCounts } from '../counters/service-counts.ts';
import type { NodePortAddresses } from '../node-addresses.ts';
import type { OpenSession } from '../session.ts';
import type { RuleCounts } from './iptables/kernel-rules.ts';
import type { PacketCounts } from './iptables/packet-counts.ts';
import type { RulesKind } from './names.ts';
import type { Forwarder } from './userspace/forwarder.ts';

export interface ProxyMode {
  /** Opens it and changes nothing. Throws what is missing and the cure, without its own name. */
  readonly open: (node: ModeNode) => OpenedMode | Promise<OpenedMode>;
  /**
   * Removes its rules of a kind and family; true when there were some. `own` are the rules that have
   * taken their place, undefined when nothing has. Throws DrainingError while connections need them.
   */
  readonly remove: (
    kind: RulesKind,
    family: IPFamily,
    own?: RulesKind,
  ) => boolean | Promise<boolean>;
}

/** A mode that this node can do; nothing is written yet. */
export interface OpenedMode {
  /** The rules it writes. */
  readonly kind: RulesKind;
  readonly openSession: OpenSession;
  /** What follows the commits of this mode alone; from here on it is at work. */
  readonly listeners: () => readonly CommitListener[];
  /** What was counted for Services; absent where nothing is. */
  readonly counts?: () => Promise<ServiceCounts>;
  readonly watchDrift: (listener: DriftListener) => Watch;
}

/** The node as a mode finds it, and what the agent lends. */
export interface ModeNode {
  readonly families: readonly IPFamily[];
  readonly settings: ModeSettings;
  /** Rules of agents before, which may be there. */
  readonly recorded: ReadonlySet<RulesKind>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodeEvents: NodeEvents;
  readonly metrics: ModeMetrics;
  /** Sockets that forward, within the limits of the agent; they close when it ends. */
  readonly openForwarders: (options: ForwardersOptions) => ReadonlyMap<IPFamily, Forwarder>;
  readonly onShutdown: (what: string, close: () => void | Promise<void>) => void;
}

/** What modes go by; each has its own of it. */
export interface ModeSettings {
  /** Number of the bit, 0 to 31, that marks packets to masquerade; iptables only. */
  readonly masqueradeBit: number;
  readonly localhostNodePorts: boolean;
  /** No CIDRs: every local address. */
  readonly nodePortAddresses: NodePortAddresses;
  readonly iptablesVariant: IptablesVariant | 'auto';
  /** Connections are counted per endpoint as well. */
  readonly endpointMetrics: boolean;
  readonly ipvs: IpvsSettings;
}

/** Timeouts of 0 leave the kernel's value as it is. */
export interface IpvsSettings {
  /** Empty: `rr`. */
  readonly scheduler: string;
  readonly excludeCIDRs: readonly Cidr[];
  readonly isStrictARP: boolean;
  readonly tcpTimeoutMs: number;
  readonly tcpFinTimeoutMs: number;
  readonly udpTimeoutMs: number;
}

export interface ForwardersOptions {
  readonly families: readonly IPFamily[];
  /** Default: every frontend. */
  readonly isServed?: (frontend: Frontend) => boolean;
  /** Whether places that somebody else holds can be led to other ports; default: they cannot. */
  readonly canRedirect?: (family: IPFamily) => boolean;
}

/** Where modes say what they count; asked at each scrape. */
export interface ModeMetrics {
  observeIptables(observed: ObservedIptables): void;
  appendText(source: () => Promise<string>): void;
}

export interface ObservedIptables {
  readonly rules: () => Iterable<
    readonly [IPFamily, { readonly total: RuleCounts; readonly last: RuleCounts }]
  >;
  /** Those of IPv4; undefined before they were read. */
  readonly packets: () => PacketCounts | undefined;
}

/** Somebody else has changed rules of ours. */
export interface Drift {
  readonly family: IPFamily;
  /** Tables it is in, as `tableText` writes them: `ip weft-proxy`, `ip6 nat`. */
  readonly tables: readonly string[];
  /** For people: the table, or the chains and jumps. */
  readonly what: string;
  /** Name of the program, or why it is not known. */
  readonly by: string;
}

export interface DriftListener {
  readonly onDrift: (drift: Drift) => void;
  /** Told of transactions in nftables that are not the proxy's, by the tables they changed. */
  readonly onForeignChange: (tables: ReadonlySet<string>) => void;
}
