import type { ListChange, UiChange } from '../agent/page/change.ts';
import type { UiSnapshot } from '../agent/page/snapshot.ts';

interface Keyed {
  readonly key: string;
}

/** The snapshot that a change leads to; lists about which nothing is said stay the same values. */
export function applyChange(before: UiSnapshot, change: UiChange): UiSnapshot {
  return {
    node: change.node ?? before.node,
    findings: changed(before.findings, change.findings),
    pods: changed(before.pods, change.pods, byKey),
    services: changed(before.services, change.services, byKey),
    peers: changed(before.peers, change.peers, byKey),
    denials: changed(before.denials, change.denials, newestFirst),
  };
}

function changed<T extends Keyed>(
  before: readonly T[],
  change: ListChange<T> | undefined,
  order?: (one: T, other: T) => number,
): readonly T[] {
  if (change === undefined) return before;
  const items = new Map(before.map((item) => [item.key, item]));
  for (const key of change.gone) items.delete(key);
  for (const item of change.put) items.set(item.key, item);
  const list = [...items.values()];
  // What changes only its figures keeps its place.
  const isNew = list.length + change.gone.length > before.length;
  return isNew && order !== undefined ? list.sort(order) : list;
}

const collator = new Intl.Collator('en', { numeric: true });

/** As the agent orders them: node-2 before node-10. */
function byKey(one: Keyed, other: Keyed): number {
  return collator.compare(one.key, other.key);
}

/** Keys of denials count up. */
function newestFirst(one: Keyed, other: Keyed): number {
  return Number(other.key) - Number(one.key);
}
