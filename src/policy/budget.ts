/**
 * What policies cost those who enforce them, and what becomes of those that cost too much: they fail closed, so
 * that a policy somebody writes in his namespace does not take memory and time from everybody's node. Pure.
 */
import type { Direction } from '../kube/policy/types.ts';
import { blockRanges, type Owned, sweep } from './blocks.ts';
import type { CompiledPolicy, CompiledRule } from './compiled-policy.ts';
import { digestOf } from './ids.ts';
import type { BlockPart } from './peers.ts';
import { countOf, stepsOf } from './steps.ts';

/** One is about an element of the table, or what it takes to compute one. */
export const BUDGET = {
  /** Of a policy in one direction. */
  policy: 25_000,
  /** Of all that select pods of a node, with all their policy sets. */
  total: 250_000,
  /** Of a NetworkPolicy on a node, by what its selectors tell apart there; known when it is computed. */
  share: 100_000,
  /** Of selectors and the classes of parties that they mean. */
  pairs: 1_000_000,
  /** Of parts of the address space, each as often as there are rules with blocks that contain it. */
  overlaps: 300_000,
};

/** Peers, exceptions and ports of all rules: so much is looked at closer. */
const MOST_WRITTEN = 100_000;
/** Each is asked about all pods of the cluster, once for those alike. */
const SELECTOR_COST = 20;
const DIRECTIONS: readonly Direction[] = ['egress', 'ingress'];
const FAMILIES = [4, 6] as const;

export interface Cost {
  /** However many pods it selects. */
  readonly once: number;
  /** For each set of policies that it is one of. */
  readonly perSet: number;
}

interface BlockOwner {
  readonly parts: readonly BlockPart[];
  readonly ports: number;
  /** Owners together have the exclusive or of their numbers. */
  readonly mark: number;
}

const costs = new WeakMap<CompiledPolicy['source'], Partial<Record<Direction, Cost>>>();

/** A policy that costs more than its share in one direction is closed in that one. */
export function withinBudget(policy: CompiledPolicy): CompiledPolicy {
  const over = DIRECTIONS.filter((direction) => {
    const { once, perSet } = costOf(policy, direction);
    return once + perSet > BUDGET.policy;
  });
  const why = 'more blocks, selectors and ports than weft enforces for one policy';
  return over.reduce((kept, direction) => closed(kept, direction, why), policy);
}

/** As it is where there is no room for it on a node; the same value for the same policy. */
export function withoutRoom(policy: CompiledPolicy): CompiledPolicy {
  const known = withoutRooms.get(policy);
  if (known !== undefined) return known;
  const why =
    'more blocks, selectors and ports, by whom they tell apart, than weft enforces on one node';
  const made = DIRECTIONS.filter((direction) => policy.rules[direction] !== undefined).reduce(
    (kept, direction) => closed(kept, direction, why),
    policy,
  );
  withoutRooms.set(policy, made);
  originals.set(made, policy);
  return made;
}

const withoutRooms = new WeakMap<CompiledPolicy, CompiledPolicy>();
const originals = new WeakMap<CompiledPolicy, CompiledPolicy>();

export function policyId({ tier, key }: Pick<CompiledPolicy, 'tier' | 'key'>): string {
  return `${tier} ${key}`;
}

interface InUse {
  readonly id: string;
  readonly policy: CompiledPolicy;
  cost: number;
}

/**
 * Those of the policies of sets in use that there is no room for, by policyId: the most expensive ones first, so
 * that others do not notice. Those that are closed anyway leave theirs to others.
 */
export function withoutRoomAmong(
  sets: Iterable<{ readonly direction: Direction; readonly policies: readonly CompiledPolicy[] }>,
  closed: ReadonlySet<string>,
): ReadonlySet<string> {
  const inUse = new Map<string, InUse>();
  const seen = new Set<string>();
  for (const { direction, policies } of sets) {
    for (const policy of policies) {
      const id = policyId(policy);
      if (closed.has(id)) continue;
      const use = inUse.get(id) ?? { id, policy: originals.get(policy) ?? policy, cost: 0 };
      const { once, perSet } = costOf(use.policy, direction);
      inUse.set(id, use);
      if (once + perSet > BUDGET.policy) continue;
      use.cost += perSet + (seen.has(direction + id) ? 0 : once);
      seen.add(direction + id);
    }
  }
  return new Set([...closed, ...mostExpensive([...inUse.values()])]);
}

function mostExpensive(inUse: readonly InUse[]): ReadonlySet<string> {
  const sorted = inUse.toSorted((a, b) => a.cost - b.cost || (a.id < b.id ? -1 : 1));
  let sum = 0;
  const kept = sorted.filter(({ cost }) => {
    sum += cost;
    return sum <= BUDGET.total;
  });
  let [low, high] = [0, kept.length];
  if (!overlapTooMuch(kept.flatMap(blocksOf))) low = high;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (overlapTooMuch(kept.slice(0, middle).flatMap(blocksOf))) high = middle - 1;
    else low = middle;
  }
  return new Set(sorted.slice(low).map(({ id }) => id));
}

function blocksOf({ policy }: InUse): readonly (readonly BlockPart[])[] {
  return DIRECTIONS.flatMap((direction) =>
    stepsOf(policy, direction).flatMap(({ peers }) =>
      peers === 'everybody'
        ? []
        : peers.flatMap((peer) => (peer.kind === 'block' ? [peer.parts] : [])),
    ),
  );
}

/** Of what is written, also where that is closed. */
function costOf(policy: CompiledPolicy, direction: Direction): Cost {
  const known = costs.get(policy.source) ?? {};
  const cost = known[direction] ?? computeCost(policy, direction);
  costs.set(policy.source, { ...known, [direction]: cost });
  return cost;
}

/** Nobody is allowed by it, and where it denies or passes on, everybody is denied. */
function closed(policy: CompiledPolicy, direction: Direction, why: string): CompiledPolicy {
  const rules = policy.rules[direction] ?? [];
  const close = ({ action, name }: CompiledRule): CompiledRule =>
    action === 'Accept'
      ? { action, name, peers: [], ports: [] }
      : { action: 'Deny', name, peers: 'everybody', ports: 'everything' };
  return {
    ...policy,
    rules: {
      ...policy.rules,
      [direction]: policy.tier === 'NetworkPolicy' ? [] : rules.map(close),
    },
    problems: [...policy.problems, `${direction}: ${why}, it fails closed`],
    isOverBudget: true,
  };
}

function computeCost(policy: CompiledPolicy, direction: Direction): Cost {
  const written = writtenInRules(policy.rules[direction] ?? []);
  if (written > MOST_WRITTEN) return { once: written, perSet: 0 };
  const steps = stepsOf(policy, direction);
  let [once, perSet] = [0, 0];
  const owners: BlockOwner[] = [];
  for (const [i, { peers, ports }] of steps.entries()) {
    perSet += countOf(ports);
    for (const peer of peers === 'everybody' ? [] : peers) {
      // Its key has all that is written in it, which every class of pods is compared with.
      if (peer.kind === 'parties') once += SELECTOR_COST + (peer.key.length >>> 5);
      else owners.push({ parts: peer.parts, ports: countOf(ports), mark: markOf(i) });
    }
  }
  const blocks = blockCost(owners, BUDGET.policy - once - perSet);
  return { once: once + blocks.once, perSet: perSet + blocks.perSet };
}

/** Parts of the address space, and for each that somebody else has, what its role takes. */
function blockCost(owners: readonly BlockOwner[], left: number): Cost {
  let [once, perSet] = [0, 0];
  for (const family of FAMILIES) {
    const known = new Set<number>();
    sweep(ownedIn(owners, family), (_, inside) => {
      once++;
      let mark = 0;
      for (const owner of inside) mark ^= owner.mark;
      if (!known.has(mark)) {
        known.add(mark);
        for (const { ports } of inside) perSet += 1 + ports;
      }
      return once + perSet <= left;
    });
  }
  return { once, perSet };
}

/** Whether blocks of all these rules together are too many where they overlap. */
function overlapTooMuch(all: Iterable<readonly BlockPart[]>): boolean {
  const owners = Array.from(all, (parts) => ({ parts }));
  const written = owners.reduce((sum, { parts }) => sum + writtenIn(parts), 0);
  // So many ends at most, and everybody at each of them.
  if (2 * written * owners.length <= BUDGET.overlaps) return false;
  let overlaps = 0;
  for (const family of FAMILIES) {
    sweep(ownedIn(owners, family), (_, { size }) => {
      overlaps += size;
      return overlaps <= BUDGET.overlaps;
    });
  }
  return overlaps > BUDGET.overlaps;
}

function ownedIn<T extends { readonly parts: readonly BlockPart[] }>(
  owners: readonly T[],
  family: (typeof FAMILIES)[number],
): readonly Owned<T>[] {
  return owners.map((owner) => ({ owner, ranges: blockRanges(owner.parts, family) }));
}

function writtenInRules(rules: readonly CompiledRule[]): number {
  return rules.reduce((sum, { peers, ports }) => {
    const blocks = peers === 'everybody' ? [] : peers;
    const own = blocks.reduce((all, peer) => {
      return all + (peer.kind === 'block' ? writtenIn(peer.parts) : 1);
    }, 0);
    return sum + own + (ports === 'everything' ? 1 : ports.length);
  }, 0);
}

function writtenIn(parts: readonly BlockPart[]): number {
  return parts.reduce((sum, { inside, outside }) => sum + inside.length + outside.length, 0);
}

function markOf(index: number): number {
  return Number.parseInt(digestOf(String(index)).slice(0, 8), 16) | 0;
}
