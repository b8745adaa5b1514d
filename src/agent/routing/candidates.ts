/** Which nodes can answer for addresses, as this one sees it. */
import type { Lease } from '../../kube/decode-lease.ts';
import { ANNOUNCER_LABEL, announcerLeases } from '../../kube/resources.ts';
import { AliveNodes } from '../../routing/l2/alive.ts';
import { toError } from '../../util/errors.ts';
import type { ClusterContext } from '../cluster-context.ts';
import { Election, type ElectionTimings } from './election.ts';

/** A lost node's addresses are with others in three seconds. */
const TIMINGS: ElectionTimings = { leaseMs: 2_000, renewMs: 500 };
/**
 * Who did not see what it writes itself for longer than a lease stays away for so long, twice as long each time: after
 * a loss of the way to the server a watch is back later than other requests.
 */
const REST_MS = { first: 2_000, longest: 60_000 };
const PREFIX = 'weft-announcer-';

export interface Candidates {
  /** With this node where it can. */
  list(): ReadonlySet<string>;
  /** This node may give an answer at this moment. */
  isAllowed(): boolean;
  /** Who does not see what the others do keeps what it has, and takes nothing. */
  isSeeing(): boolean;
  /** In words with the cure. */
  problems(): readonly string[];
}

export interface CandidateOptions {
  /** This node may answer, by its labels. */
  readonly isSelected: () => boolean;
  readonly onChange: () => void;
}

/** Nodes that renew a lease of their own; who cannot stops before the others take over. */
export function leasedCandidates(
  context: ClusterContext,
  { isSelected, onChange }: CandidateOptions,
): Candidates {
  const { config, clock, lifecycle, objects } = context;
  const { nodeName } = config;
  const alive = new AliveNodes(clock, TIMINGS.leaseMs);
  const log = context.log.child({ component: 'announcer' });
  let [leaderSinceMs, restsUntilMs] = [Number.POSITIVE_INFINITY, 0];
  let restMs = REST_MS.first;
  const isResting = () => clock.elapsed() < restsUntilMs;
  const election = new Election({
    ...{ agreement: objects.agreement, clock, log, namespace: config.routing.leaseNamespace },
    ...{ name: `${PREFIX}${nodeName}`, identity: nodeName, timings: TIMINGS },
    ...{ labels: { [ANNOUNCER_LABEL]: 'true' }, signal: lifecycle.signal },
    isStanding: () => isSelected() && !isResting(),
    onChange: (isLeader) => {
      leaderSinceMs = isLeader ? clock.elapsed() : Number.POSITIVE_INFINITY;
      onChange();
    },
  });
  followLeases(context, alive, onChange);
  askForHolders(context, alive, onChange);
  startWhenSelected(context, isSelected, election);
  /** Others give it addresses that it does not take, as its renewals arrive and nothing comes back. */
  const restIfBlind = () => {
    const isSeen = alive.list().has(nodeName);
    if (isSeen) restMs = REST_MS.first;
    const isLong = clock.elapsed() - leaderSinceMs > TIMINGS.leaseMs;
    if (!isLong || isResting() || isSeen) return;
    restsUntilMs = clock.elapsed() + restMs;
    restMs = Math.min(2 * restMs, REST_MS.longest);
    log.warn('own lease not seen: addresses are left to other nodes for a while');
  };
  return {
    list: () => {
      restIfBlind();
      const nodes = new Set(alive.list());
      // What it is itself it knows better than the lease that it reads.
      if (election.isLeader && isSelected() && !isResting()) nodes.add(nodeName);
      else nodes.delete(nodeName);
      return nodes;
    },
    isAllowed: () => election.isLeader,
    isSeeing: () => alive.list(TIMINGS.leaseMs / 2).has(nodeName),
    problems: () => [
      ...(election.problem === '' ? [] : [`no lease for addresses: ${election.problem}`]),
      ...(isResting() ? ['this node renews its lease and is not told so: see what it lists'] : []),
    ],
  };
}

/** A node that may not answer writes no lease: thousands of nodes would write thousands of them. */
function startWhenSelected(
  { clock, lifecycle }: ClusterContext,
  isSelected: () => boolean,
  election: Election,
): void {
  const look = () => {
    if (lifecycle.signal.aborted) return;
    if (isSelected()) election.start();
    else clock.schedule(TIMINGS.leaseMs, look);
  };
  look();
}

function followLeases(
  { objects, config, clock }: ClusterContext,
  alive: AliveNodes,
  onChange: () => void,
): void {
  const nodeOf = ({ metadata: { name, namespace } }: Lease) =>
    namespace === config.routing.leaseNamespace && name.startsWith(PREFIX)
      ? name.slice(PREFIX.length)
      : undefined;
  const see = (lease: Lease) => {
    const node = nodeOf(lease);
    // Only a node itself holds its lease.
    if (node === undefined || lease.holder !== node) return;
    // After a pause renewals come in that are long past: of its own a node knows when they were made.
    const age = Math.abs(clock.now() - Date.parse(lease.renewTime));
    if (node === config.nodeName && !(age < TIMINGS.leaseMs / 2)) return;
    const isNew = !alive.list().has(node);
    alive.see(node, lease.renewTime);
    if (isNew) onChange();
  };
  objects.source.watch(announcerLeases, {
    onAdd: see,
    onUpdate: see,
    onDelete: (lease) => {
      alive.forget(nodeOf(lease) ?? '');
      onChange();
    },
  });
}

/** Where renewals are not written. */
function askForHolders(
  { objects, config, clock, lifecycle }: ClusterContext,
  alive: AliveNodes,
  onChange: () => void,
): void {
  const { sight } = objects.agreement;
  if (sight.kind !== 'asked') return;
  const { signal } = lifecycle;
  let rounds = 0;
  const ask = async () => {
    const askedAtMs = clock.elapsed();
    const names = await sight.holders(config.routing.leaseNamespace, PREFIX, signal);
    // What was true so long ago is of no use.
    if (clock.elapsed() - askedAtMs > TIMINGS.leaseMs / 2) return;
    const before = alive.list();
    const nodes = new Set(names.map((name) => name.slice(PREFIX.length)));
    for (const node of before) if (!nodes.has(node)) alive.forget(node);
    rounds++;
    for (const node of nodes) alive.see(node, `${rounds}`);
    if (alive.list().size !== before.size) onChange();
  };
  const again = () => {
    if (signal.aborted) return;
    // Who cannot ask cannot renew either, and says why.
    void ask()
      .catch(toError)
      .then(() => clock.schedule(TIMINGS.renewMs, again));
  };
  again();
}

/**
 * All nodes that the files name: agents do not see each other, so that an address stays with its node, come what
 * may.
 */
export function namedCandidates(
  { config }: ClusterContext,
  names: () => readonly string[],
): Candidates {
  const isNamed = () => names().includes(config.nodeName);
  const problem = `no Node ${config.nodeName} in the manifests: nodes agree by them who answers`;
  return {
    list: () => new Set(names()),
    isAllowed: isNamed,
    isSeeing: () => true,
    problems: () => (isNamed() ? [] : [problem]),
  };
}
