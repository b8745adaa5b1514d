/**
 * Addresses of Services on the links of nodes: of the nodes that renew a Lease of their own one answers for
 * each address. Who cannot renew stops before the others take over.
 */
import type { NodeRtnl } from '../../kernel/types.ts';
import { ANNOUNCER_LABEL, announcerLeases } from '../../kube/resources.ts';
import { AliveNodes } from '../../routing/l2/alive.ts';
import { announcedBy } from '../../routing/l2/announcer.ts';
import { selectsNode } from '../../routing/node-selector.ts';
import { toError } from '../../util/errors.ts';
import type { ClusterContext } from '../cluster-context.ts';
import type { AnnouncerStatus } from '../status/routing-status.ts';
import { Election, type ElectionTimings } from './election.ts';
import { LinkAnswers } from './link-answers.ts';
import type { RoutedNodes } from './nodes.ts';
import type { ServiceAddresses } from './service-addresses.ts';

/** A lost node's addresses are with others in three seconds. */
const TIMINGS: ElectionTimings = { leaseMs: 2_000, renewMs: 500 };
/** Leases are over without an event. */
const LOOK_EVERY_MS = 250;
const PREFIX = 'weft-announcer-';

export interface Announcer {
  readonly status: () => AnnouncerStatus;
}

export interface AnnouncerParts {
  readonly rtnl: NodeRtnl;
  readonly services: ServiceAddresses | undefined;
  readonly nodes: Pick<RoutedNodes, 'labelsOf'>;
}

/** Starts to answer, where there is an API server to agree by. */
export function startAnnouncer(context: ClusterContext, parts: AnnouncerParts): Announcer {
  const { config, clock, lifecycle, objects } = context;
  const log = context.log.child({ component: 'announcer' });
  const { client } = objects;
  const { services } = parts;
  const missing =
    (client === undefined && 'nodes agree through the API server who answers, and there is none') ||
    (services === undefined &&
      'addresses are answered for by who serves them: add component proxy');
  if (missing || client === undefined || services === undefined) {
    const problem = `routing.announceOnLinks: ${missing || ''}`;
    return { status: () => ({ addresses: [], nodes: [], problems: [problem] }) };
  }
  const alive = new AliveNodes(clock, TIMINGS.leaseMs);
  const isSelected = () =>
    selectsNode(context.live.current.routing.announcers, parts.nodes.labelsOf(config.nodeName));
  let problem = '';
  const election = new Election({
    ...{ client, clock, log, namespace: config.routing.leaseNamespace, timings: TIMINGS },
    ...{ name: `${PREFIX}${config.nodeName}`, identity: config.nodeName },
    ...{ labels: { [ANNOUNCER_LABEL]: 'true' }, signal: lifecycle.signal },
    isStanding: () => isSelected(),
    onChange: () => look(),
  });
  const answers = new LinkAnswers({
    ...{ rtnl: parts.rtnl, clock, log },
    isAllowed: () => election.isLeader,
  });
  const look = () => {
    const nodes = new Set(alive.list());
    // What it is itself it knows better than the lease that it reads.
    if (election.isLeader && isSelected()) nodes.add(config.nodeName);
    else nodes.delete(config.nodeName);
    // Who does not see its own renewals sees nobody's: it takes nothing new.
    const isBlind = !alive.list(TIMINGS.leaseMs / 2).has(config.nodeName);
    try {
      const ips = announcedBy(config.nodeName, services.list(), nodes);
      const held = new Set(answers.addresses);
      answers.set(isBlind ? ips.filter((ip) => held.has(ip)) : ips);
      problem = '';
    } catch (thrown) {
      problem = toError(thrown).message;
    }
  };
  followLeases(context, alive);
  startWhenSelected(context, { isSelected, election });
  const again = () => {
    if (lifecycle.signal.aborted) return;
    look();
    clock.schedule(LOOK_EVERY_MS, again);
  };
  again();
  lifecycle.onShutdown('announcer', () => answers.close());
  const told = () => [
    ...(election.problem === '' ? [] : [`no lease for addresses: ${election.problem}`]),
    ...(problem === '' ? [] : [`addresses of Services on links: ${problem}`]),
  ];
  const nodes = () => [...alive.list()].toSorted();
  return { status: () => ({ addresses: answers.addresses, nodes: nodes(), problems: told() }) };
}

/** A node that may not answer writes no lease: thousands of nodes would write thousands of them. */
function startWhenSelected(
  { clock, lifecycle }: ClusterContext,
  { isSelected, election }: { readonly isSelected: () => boolean; readonly election: Election },
): void {
  const look = () => {
    if (lifecycle.signal.aborted) return;
    if (isSelected()) election.start();
    else clock.schedule(TIMINGS.leaseMs, look);
  };
  look();
}

function followLeases({ objects, config }: ClusterContext, alive: AliveNodes): void {
  const nodeOf = (lease: {
    readonly metadata: { readonly name: string; readonly namespace: string };
  }) =>
    lease.metadata.namespace === config.routing.leaseNamespace
      ? lease.metadata.name.slice(PREFIX.length)
      : undefined;
  objects.source.watch(announcerLeases, {
    onAdd: (lease) => see(lease),
    onUpdate: (lease) => see(lease),
    onDelete: (lease) => alive.forget(nodeOf(lease) ?? ''),
  });
  function see(
    lease: Parameters<typeof nodeOf>[0] & { readonly holder: string; readonly renewTime: string },
  ) {
    const node = nodeOf(lease);
    // Only a node itself holds its lease.
    if (node !== undefined && lease.holder === node) alive.see(node, lease.renewTime);
  }
}
