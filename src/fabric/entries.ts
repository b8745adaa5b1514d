import type { EntryChange, ForwardingEntry, Neighbour, Route } from '../kernel/types.ts';
import { type Steps, takeAtOnce } from '../util/turns.ts';

/** What one peer needs in the kernel: the values that `EntryChange` carries. */
export type Entry =
  | { readonly kind: 'neighbour'; readonly entry: Neighbour }
  | { readonly kind: 'forwarding'; readonly entry: ForwardingEntry }
  | { readonly kind: 'route'; readonly entry: Route };

/** Entries by what the kernel tells them apart by. */
export type Entries = ReadonlyMap<string, Entry>;

/** What the kernel tells entries apart by. */
export function entryKey({ kind, entry }: Entry): string {
  switch (kind) {
    case 'neighbour':
      return `neighbour ${entry.address} ${entry.link}`;
    case 'forwarding':
      return `forwarding ${entry.mac} ${entry.link}`;
    case 'route':
      return `route ${entry.destination} ${entry.priority ?? 0}`;
  }
}

/**
 * The first of a key counts, as in the kernel; those behind it, which somebody appended, have keys that
 * nobody wants.
 */
export function* entrySteps(entries: Iterable<Entry>): Steps<Entries> {
  const found = new Map<string, Entry>();
  for (const entry of entries) {
    let key = entryKey(entry);
    while (found.has(key)) key += ' again';
    found.set(key, entry);
    yield;
  }
  return found;
}

export function isSameEntry(a: Entry, b: Entry): boolean {
  if (a.entry === b.entry) return true;
  if (a.kind === 'neighbour' && b.kind === 'neighbour') {
    return a.entry.mac === b.entry.mac && a.entry.isPermanent === b.entry.isPermanent;
  }
  if (a.kind === 'forwarding' && b.kind === 'forwarding') return a.entry.remote === b.entry.remote;
  if (a.kind === 'route' && b.kind === 'route') return isSameRoute(a.entry, b.entry);
  return false;
}

function isSameRoute(a: Route, b: Route): boolean {
  return (
    a.gateway === b.gateway &&
    a.link === b.link &&
    (a.isOnlink ?? false) === (b.isOnlink ?? false) &&
    a.source === b.source
  );
}

/** For people: `route 10.244.1.0/24 via 192.0.2.1`. */
export function entryText({ kind, entry }: Entry): string {
  switch (kind) {
    case 'neighbour':
      return `neighbour ${entry.address} at ${entry.mac}`;
    case 'forwarding':
      return `forwarding entry ${entry.mac} to ${entry.remote}`;
    case 'route':
      return `route ${entry.destination} via ${entry.gateway ?? 'its link'}`;
  }
}

/** The changes that make `present` into `wanted`, in an order in which no packet is led to a dead end. */
export function entryChanges(present: Entries, wanted: Entries): readonly EntryChange[] {
  return takeAtOnce(changeSteps(present, wanted));
}

/**
 * `entryChanges`, an entry a step; of some keys where only these may differ. Who is reached must be known
 * before packets are led there, and longer.
 */
export function* changeSteps(
  present: Entries,
  wanted: Entries,
  keys?: ReadonlySet<string>,
): Steps<readonly EntryChange[]> {
  const puts = noChanges();
  const deletes = noChanges();
  for (const [key, entry] of keys === undefined ? wanted : entriesOf(wanted, keys)) {
    const known = present.get(key);
    const isThere = known !== undefined && isSameEntry(known, entry);
    if (!isThere) puts[entry.kind].push({ ...entry, action: 'put' });
    yield;
  }
  for (const [key, entry] of keys === undefined ? present : entriesOf(present, keys)) {
    if (!wanted.has(key)) deletes[entry.kind].push({ ...entry, action: 'delete' });
    yield;
  }
  return [
    ...[...puts.neighbour, ...puts.forwarding, ...puts.route],
    ...[...deletes.route, ...deletes.forwarding, ...deletes.neighbour],
  ];
}

function* entriesOf(
  entries: Entries,
  keys: ReadonlySet<string>,
): Generator<readonly [string, Entry]> {
  for (const key of keys) {
    const entry = entries.get(key);
    if (entry !== undefined) yield [key, entry];
  }
}

function noChanges(): Record<Entry['kind'], EntryChange[]> {
  return { neighbour: [], forwarding: [], route: [] };
}
