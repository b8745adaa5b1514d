/** What differs between two snapshots, so that a page of a thousand Services is sent once and not each time. */
import type { UiSnapshot } from './snapshot.ts';

interface Keyed {
  readonly key: string;
}

/** New and changed ones, whole, and keys of those that are gone. */
export interface ListChange<T extends Keyed> {
  readonly put: readonly T[];
  readonly gone: readonly string[];
}

type ListName = Exclude<keyof UiSnapshot, 'node'>;
type ItemOf<K extends ListName> = UiSnapshot[K][number];

/** What is absent is as before. */
export interface UiChange {
  readonly node?: UiSnapshot['node'];
  readonly findings?: ListChange<ItemOf<'findings'>>;
  readonly pods?: ListChange<ItemOf<'pods'>>;
  readonly services?: ListChange<ItemOf<'services'>>;
  readonly peers?: ListChange<ItemOf<'peers'>>;
  readonly denials?: ListChange<ItemOf<'denials'>>;
}

/** Undefined where nothing differs. The order of a list is that of its keys' first appearance. */
export function changeBetween(before: UiSnapshot, after: UiSnapshot): UiChange | undefined {
  const change: UiChange = {
    ...(isSame(before.node, after.node) ? {} : { node: after.node }),
    ...named('findings', listChange(before.findings, after.findings)),
    ...named('pods', listChange(before.pods, after.pods)),
    ...named('services', listChange(before.services, after.services)),
    ...named('peers', listChange(before.peers, after.peers)),
    ...named('denials', listChange(before.denials, after.denials)),
  };
  return Object.keys(change).length === 0 ? undefined : change;
}

function named<K extends ListName, V>(name: K, change: V | undefined): { [P in K]?: V } {
  // One computed key: TypeScript makes an index signature of it.
  return (change === undefined ? {} : { [name]: change }) as { [P in K]?: V };
}

function listChange<T extends Keyed>(
  before: readonly T[],
  after: readonly T[],
): ListChange<T> | undefined {
  const known = new Map(before.map((item) => [item.key, item]));
  const put = after.filter((item) => {
    const old = known.get(item.key);
    known.delete(item.key);
    return old === undefined || !isSame(old, item);
  });
  const gone = [...known.keys()];
  return put.length + gone.length === 0 ? undefined : { put, gone };
}

/** Both are made by the same functions, with their fields in the same order. */
function isSame(one: object, other: object): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}
