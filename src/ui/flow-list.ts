/** What is shown of a stream of flows: connections that there are, and for a while what has ended or failed. */
import type { UiFlow, UiFlows } from '../agent/page/snapshot.ts';

export interface FlowItem extends UiFlow {
  /** When it was told, ms; 0 for what was there before. */
  readonly toldAt: number;
}

export interface FlowList {
  /** The last that was told first. */
  readonly items: readonly FlowItem[];
  readonly missed: number;
}

export const NO_FLOWS: FlowList = { items: [], missed: 0 };

/** What is over is shown for so long. */
const LINGER_MS = 15_000;
const MOST_KEPT = 200;

/** With what was told at `nowMs`. */
export function withFlows({ items, missed }: FlowList, told: UiFlows, nowMs: number): FlowList {
  const byKey = new Map(items.toReversed().map((item) => [item.key, item]));
  for (const flow of told.flows) {
    byKey.delete(flow.key);
    byKey.set(flow.key, { ...flow, toldAt: flow.kind === 'live' ? 0 : nowMs });
  }
  return {
    items: lingering([...byKey.values()].toReversed(), nowMs).slice(0, MOST_KEPT),
    missed: missed + told.missed,
  };
}

/** Without what was over long ago. */
export function lingering(items: readonly FlowItem[], nowMs: number): readonly FlowItem[] {
  return items.filter((item) => isThere(item) || nowMs - item.toldAt < LINGER_MS);
}

/** A connection that the kernel has. */
export function isThere({ kind }: UiFlow): boolean {
  return kind === 'live' || kind === 'new';
}

/** What has become of it, in words. */
export function flowWords({ kind, protocol, verdict, reason }: UiFlow): string {
  switch (kind) {
    case 'live':
      return `${protocol} ${verdict}`;
    case 'new':
      return `${protocol} began`;
    case 'end':
      return `${protocol} ended, ${verdict}`;
    default:
      return [`${protocol} ${verdict}`, ...(reason === undefined ? [] : [reason])].join(': ');
  }
}
