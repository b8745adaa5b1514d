/**
 * Addresses of Services on the links of nodes: of the nodes that can one answers for each address.
 */
import type { NodeRtnl } from '../../kernel/types.ts';
import { Turns } from '../../routing/l2/announcer.ts';
import { selectsNode } from '../../routing/node-selector.ts';
import { toError } from '../../util/errors.ts';
import type { ClusterContext } from '../cluster-context.ts';
import type { AnnouncerStatus } from '../status/routing-status.ts';
import { type Candidates, leasedCandidates, namedCandidates } from './candidates.ts';
import { LinkAnswers } from './link-answers.ts';
import type { RoutedNodes } from './nodes.ts';
import type { ServiceAddresses } from './service-addresses.ts';

/** Leases are over without an event. */
const LOOK_EVERY_MS = 250;
/** More than what nodes see at different times, and than the time until one looks. */
const HANDOVER_MS = 400;

export interface Announcer {
  readonly status: () => AnnouncerStatus;
}

export interface AnnouncerParts {
  readonly rtnl: NodeRtnl;
  readonly services: ServiceAddresses | undefined;
  readonly nodes: Pick<RoutedNodes, 'labelsOf' | 'names'>;
}

/** Starts to answer. */
export function startAnnouncer(context: ClusterContext, parts: AnnouncerParts): Announcer {
  const { config, clock, lifecycle } = context;
  const log = context.log.child({ component: 'announcer' });
  const { services, rtnl } = parts;
  if (services === undefined) {
    const problem =
      'routing.announceOnLinks: addresses are answered for by who serves them: add component proxy';
    return { status: () => ({ addresses: [], nodes: [], all: [], problems: [problem] }) };
  }
  let problem = '';
  const turns = new Turns(config.nodeName, clock, HANDOVER_MS);
  const candidates = openCandidates(context, parts, () => look());
  const isAllowed = () => candidates.isAllowed();
  const answers = new LinkAnswers({ rtnl, clock, log, isAllowed });
  const look = () => {
    if (lifecycle.signal.aborted) return;
    try {
      const ips = turns.next(services.list(), candidates.list());
      const held = new Set(answers.addresses);
      answers.set(candidates.isSeeing() ? ips : ips.filter((ip) => held.has(ip)));
      problem = '';
    } catch (thrown) {
      problem = toError(thrown).message;
    }
  };
  services.follow(look);
  const again = () => {
    look();
    if (!lifecycle.signal.aborted) clock.schedule(LOOK_EVERY_MS, again);
  };
  again();
  lifecycle.onShutdown('announcer', () => answers.close());
  return {
    status: () => ({
      addresses: answers.addresses,
      nodes: [...candidates.list()].toSorted(),
      all: turns.list(),
      problems: [
        ...candidates.problems(),
        ...answers.problems(),
        ...(problem === '' ? [] : [`addresses of Services on links: ${problem}`]),
      ],
    }),
  };
}

function openCandidates(
  context: ClusterContext,
  { nodes }: AnnouncerParts,
  onChange: () => void,
): Candidates {
  const { config, live, objects } = context;
  const isChosen = (name: string) =>
    selectsNode(live.current.routing.announcers, nodes.labelsOf(name));
  if (objects.agreement.sight.kind === 'none') {
    return namedCandidates(context, () => nodes.names().filter(isChosen));
  }
  return leasedCandidates(context, { isSelected: () => isChosen(config.nodeName), onChange });
}
