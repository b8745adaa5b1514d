import type { IPFamily } from '../../../net/ip.ts';
import type { CommitListener } from '../../../proxy/commit-listener.ts';
import type { OpenSession } from '../../../proxy/session.ts';
import type { EventSink } from '../../objects/events.ts';
import type { RulesKind } from '../rules-record.ts';

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

/** One way to keep Services in the kernel of this node, which can do it; nothing is written yet. */
export interface OpenedMode {
  /** The rules it writes. */
  readonly kind: RulesKind;
  readonly openSession: OpenSession;
  /** What follows the commits of this mode alone; Events are for what it cannot do. */
  readonly listeners: (events: EventSink) => readonly CommitListener[];
  watchDrift(listener: DriftListener): { close(): void };
}
