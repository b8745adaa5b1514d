import { join } from 'node:path';
import { openRtnl } from '../../kernel/rtnl.ts';
import type { NodeRtnl } from '../../kernel/types.ts';
import { nodes } from '../../kube/resources.ts';
import { type Cidr, cidrFamily, networkOf, parseIPWithPrefix } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import { planBird } from '../../routing/bird-config.ts';
import { openBirdSocket } from '../../routing/bird-socket.ts';
import type { RoutingFacts } from '../../routing/facts.ts';
import { Speaker } from '../../routing/speaker.ts';
import type { ClusterContext } from '../cluster-context.ts';
import { watchServiceCIDRs } from '../objects/service-cidrs.ts';
import type { RoutingStatus } from '../status/routing-status.ts';
import { startAnnouncer } from './announcer.ts';
import { openConfigFiles } from './config-files.ts';
import { startLoadBalancers } from './load-balancers.ts';
import { RoutedNodes } from './nodes.ts';
import { PasswordFailures, readSignatureCounts } from './password-failures.ts';
import { Passwords } from './passwords.ts';
import { ServiceAddresses } from './service-addresses.ts';
import { routingStatus, withAddresses } from './status.ts';

/** What others ask of BGP. */
export interface RoutingComponent {
  readonly status: () => RoutingStatus;
  /** With how sessions are at this moment. */
  readonly statusNow: () => Promise<RoutingStatus>;
  /** Of BGP, but for its sessions. */
  readonly problems: () => readonly string[];
}

/** What is told by BGP of Services: the proxy lets this listen to what it commits. */
export function routedServices({ live }: Pick<ClusterContext, 'live'>): ServiceAddresses {
  // People look why an address from outside is not told; nobody has thousands of those.
  return new ServiceAddresses(
    (kind) => kind !== 'clusterIPs' || live.current.routing.advertise.has('clusterIPs'),
  );
}

/**
 * Starts what writes BIRD's configuration, on a source that is not started yet. BIRD is not started nor
 * ended by it, and nothing is taken from a configuration before all is known.
 */
export function startRouting(
  context: ClusterContext,
  services: ServiceAddresses | undefined,
): RoutingComponent {
  const { config, live, clock, lifecycle } = context;
  const log = context.log.child({ component: 'routing' });
  const { directory } = config.routing;
  const rtnl = openRtnl();
  const passwords = new Passwords();
  const failures = new PasswordFailures(readSignatureCounts, clock);
  const files = openConfigFiles(directory, process.getuid?.() ?? 0);
  const follower = followNodes(context, () => speaker.trigger());
  const facts = (): RoutingFacts => ({
    nodeName: config.nodeName,
    nodes: follower.list(),
    ...linkFacts(rtnl),
    services: services?.list() ?? [],
    passwords: passwords.read(live.current.routing.peers),
  });
  const speaker = new Speaker({
    ...{ files, clock, log },
    askBird: openBirdSocket(join(directory, 'bird.ctl')),
    plan: () => {
      failures.look();
      const { topology, peers } = live.current.routing;
      const isWanted = topology !== 'none' || peers.length > 0;
      // Who only answers on links needs no BIRD; one that had sessions is told to end them.
      if (!isWanted && files.read() === undefined) return undefined;
      const planned = facts();
      const isKnown = planned.families.every((family) => services?.isKnown(family) ?? true);
      const isComplete = follower.isConfirmed() && isKnown;
      // A node that just booted has nothing that could be taken away.
      if (!isComplete && (files.read() !== undefined || !follower.isSynced())) return undefined;
      return planBird(live.current.routing, planned);
    },
  });
  services?.follow(() => speaker.trigger());
  live.follow(() => speaker.trigger());
  const watch = context.nodeEvents.onLinks(['link', 'address'], () => speaker.trigger());
  lifecycle.onShutdown('routing', async () => {
    watch.close();
    await speaker.stop();
    rtnl.close();
  });
  speaker.trigger();
  const addresses = startAddresses(context, { rtnl, services, follower });
  const problems = () => [
    ...(speaker.report.problem === '' ? [] : [withCure(speaker.report.problem, directory)]),
    ...[...(speaker.report.plan?.problems ?? []), ...passwords.problems(), ...follower.problems()],
  ];
  const status = () => {
    const { routing } = live.current;
    return addresses(routingStatus(routing, speaker.report, problems(), failures.recent()));
  };
  context.metrics.observeRouting(status);
  return {
    ...{ status, problems },
    statusNow: async () => {
      await speaker.sessions();
      return status();
    },
  };
}

interface AddressParts {
  readonly rtnl: NodeRtnl;
  readonly services: ServiceAddresses | undefined;
  readonly follower: NodesFollowed;
}

/** Addresses for Services and on links, where they are asked for; adds them to what is told. */
function startAddresses(
  context: ClusterContext,
  { rtnl, services, follower }: AddressParts,
): (status: RoutingStatus) => RoutingStatus {
  const { loadBalancers, announceOnLinks } = context.config.routing;
  const balancers = loadBalancers
    ? startLoadBalancers(context, () => follower.networks())
    : undefined;
  const announcer = announceOnLinks
    ? startAnnouncer(context, { rtnl, services, nodes: follower })
    : undefined;
  return (status) => withAddresses(status, balancers?.status(), announcer?.status());
}

function withCure(problem: string, directory: string): string {
  const isUnreached = problem.startsWith('ask BIRD');
  if (!isUnreached) return problem;
  const command = `bird -f -c ${join(directory, 'bird.conf')} -s ${join(directory, 'bird.ctl')}`;
  return `${problem}; is it running? ${command}`;
}

interface NodesFollowed extends Pick<RoutedNodes, 'labelsOf' | 'names' | 'problems'> {
  /** Networks of pods and of Services. */
  networks(): readonly { readonly cidr: Cidr; readonly what: string }[];
  list(): ReturnType<RoutedNodes['list']>;
  isSynced(): boolean;
  /** What is known is what the source itself holds, and whatever it lacks is gone. */
  isConfirmed(): boolean;
}

function followNodes(
  { config, live, objects }: ClusterContext,
  changed: () => void,
): NodesFollowed {
  const known = new RoutedNodes();
  let serviceNetworks: readonly Cidr[] = [];
  let [isSynced, isConfirmed] = [false, false];
  const networksRead = watchServiceCIDRs(objects.source, config.serviceCIDRs, (cidrs) => {
    serviceNetworks = cidrs;
    changed();
  });
  const told = (tell: () => void) => {
    tell();
    changed();
  };
  const { synced, confirmed } = objects.source.watch(nodes(), {
    onAdd: (node) => told(() => known.put(node)),
    onUpdate: (node) => told(() => known.put(node)),
    onDelete: ({ metadata }) => told(() => known.delete(metadata.name)),
  });
  void Promise.all([synced, networksRead]).then(() => told(() => (isSynced = true)));
  void Promise.all([confirmed, networksRead]).then(() => told(() => (isConfirmed = true)));
  const ofServices = () => serviceNetworks.map((cidr) => ({ cidr, what: 'a network of Services' }));
  return {
    labelsOf: (name) => known.labelsOf(name),
    problems: () => known.problems(),
    names: () => known.names(),
    networks: () => [
      ...ofServices(),
      ...[...live.current.fabric.clusterCIDRs, ...known.podCIDRs()].map((cidr) => {
        return { cidr, what: 'a network of pods' };
      }),
    ],
    list: () =>
      known.list({
        clusterCIDRs: live.current.fabric.clusterCIDRs,
        taken: ofServices(),
      }),
    isSynced: () => isSynced,
    isConfirmed: () => isConfirmed,
  };
}

/** Networks of this node's links, and the families that it has addresses of. */
function linkFacts(rtnl: NodeRtnl): Pick<RoutingFacts, 'linkNetworks' | 'families'> {
  const linkNetworks = rtnl
    .addresses()
    .filter(({ address }) => !address.startsWith('127.') && !/^(?:fe80:|::1$)/.test(address))
    .map(({ address, prefixLength }) => networkOf(parseIPWithPrefix(`${address}/${prefixLength}`)));
  const families = ([4, 6] satisfies IPFamily[]).filter((family) =>
    linkNetworks.some((network) => cidrFamily(network) === family),
  );
  return { linkNetworks: [...new Set(linkNetworks)].toSorted(), families };
}
