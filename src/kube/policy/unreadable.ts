/**
 * What stands for a policy that cannot be read: what it said before, or else one that closes whom it selects. None
 * in its place would open what somebody wanted closed.
 */
import { decodeMeta } from '../decode.ts';
import { ObjectReader } from '../fields.ts';
import type { ObjectMeta } from '../types.ts';
import { clusterSubject } from './decode-cluster-network-policy.ts';
import { directionsOf } from './decode-network-policy.ts';
import { selectorOf } from './decode-selector.ts';
import type {
  ClusterNetworkPolicy,
  ClusterRule,
  Direction,
  LabelSelector,
  NetworkPolicy,
  Unreadable,
} from './types.ts';

const NOTHING_KEPT = { isLabelKept: () => false, isAnnotationKept: () => false };
const MOST_REASON = 200;
const EVERYTHING: LabelSelector = { matchLabels: {}, matchExpressions: [] };
const BOTH: readonly Direction[] = ['ingress', 'egress'];
const DENY: ClusterRule = {
  name: undefined,
  action: 'Deny',
  peers: [{ kind: 'unknown', what: 'a rule' }],
  protocols: [],
};

/** `known` is what it was; undefined when not even its name can be read. */
export function unreadableNetworkPolicy(
  raw: unknown,
  reason: string,
  known: NetworkPolicy | undefined,
): NetworkPolicy | undefined {
  const metadata = metadataOf(raw, true);
  if (metadata === undefined) return undefined;
  const before = asBefore(known, metadata, reason);
  if (before !== undefined) return before;
  const spec = specOf(raw);
  const podSelector = spec && attempt(() => selectorOf(spec, 'podSelector'));
  const directions = spec && attempt(() => directionsOf(spec, true));
  return {
    metadata,
    podSelector: podSelector ?? EVERYTHING,
    rules: Object.fromEntries((directions ?? BOTH).map((direction) => [direction, []])),
    unreadable: closed(reason, podSelector === undefined ? 'its namespace' : 'whom it selects'),
  };
}

export function unreadableClusterNetworkPolicy(
  raw: unknown,
  reason: string,
  known: ClusterNetworkPolicy | undefined,
): ClusterNetworkPolicy | undefined {
  const metadata = metadataOf(raw, false);
  if (metadata === undefined) return undefined;
  const before = asBefore(known, metadata, reason);
  if (before !== undefined) return before;
  const spec = specOf(raw);
  const subject = spec && attempt(() => clusterSubject(spec));
  const rulesOf = (direction: Direction) =>
    spec && attempt(() => spec.optionalObjects(direction) ?? [])?.length === 0 ? [] : [DENY];
  return {
    metadata,
    tier: (spec && attempt(() => spec.choice('tier', ['Admin', 'Baseline']))) ?? 'Admin',
    priority: (spec && attempt(() => spec.integer('priority', 0, 1_000))) ?? 0,
    subject: subject ?? { kind: 'unknown', what: 'a subject that cannot be read' },
    rules: { ingress: rulesOf('ingress'), egress: rulesOf('egress') },
    unreadable: closed(reason, subject === undefined ? 'nobody' : 'whom it selects'),
  };
}

type Policy = NetworkPolicy | ClusterNetworkPolicy;

/** As it was when it could be read, if that is known. */
function asBefore<T extends Policy>(
  known: T | undefined,
  { resourceVersion }: ObjectMeta,
  reason: string,
): T | undefined {
  if (known === undefined || known.unreadable?.isClosed === true) return undefined;
  const problem = `it cannot be read (${reason.slice(0, MOST_REASON)}): what it said before holds`;
  const metadata = { ...known.metadata, resourceVersion };
  return { ...known, metadata, unreadable: { problem, isClosed: false } };
}

function closed(reason: string, whom: string): Unreadable {
  const problem = `it cannot be read (${reason.slice(0, MOST_REASON)}): it closes ${whom}`;
  return { problem, isClosed: true };
}

function metadataOf(raw: unknown, isNamespaced: boolean): ObjectMeta | undefined {
  return attempt(() => decodeMeta(new ObjectReader(raw, 'lenient'), NOTHING_KEPT, isNamespaced));
}

function specOf(raw: unknown): ObjectReader | undefined {
  return attempt(() => new ObjectReader(raw, 'lenient').object('spec'));
}

/** Undefined where that cannot be read either. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
