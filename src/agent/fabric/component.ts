import { join } from 'node:path';
import { openBootGate } from '../../cni/boot-gate.ts';
import { readBootId } from '../../cni/machine.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import { Fabric } from '../../fabric/fabric.ts';
import type { PlannedPeer } from '../../fabric/plan.ts';
import type { PathFinding } from '../../fabric/probe/path.ts';
import type { FabricReport } from '../../fabric/report.ts';
import { watchKernel } from '../../fabric/watch.ts';
import { openRtnl } from '../../kernel/rtnl.ts';
import { sysctls } from '../../kernel/sysctls.ts';
import type { NodeRtnl } from '../../kernel/types.ts';
import { nodes } from '../../kube/resources.ts';
import type { Node } from '../../kube/types.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { ClusterContext } from '../cluster-context.ts';
import { DEFAULT_CNI } from '../config/default-directories.ts';
import type { FabricSettings } from '../config/fabric-settings.ts';
import { nodeOf } from '../objects/events.ts';
import { watchServiceCIDRs } from '../objects/service-cidrs.ts';
import type { FabricStatus } from '../status/values.ts';
import { followMtu } from './bridge-mtu.ts';
import type { FabricFacts, FabricReadiness } from './facts.ts';
import { removeFormerGateways } from './former-gateways.ts';
import { openFabricGuard } from './guard.ts';
import { NodeCondition } from './node-condition.ts';
import { NodeLife } from './node-life.ts';
import { startPathProbes } from './path-probes.ts';
import { fabricStatus } from './status.ts';
import { type NodeSubnets, openSubnets } from './subnets.ts';

/** What others ask the fabric. */
export interface FabricComponent {
  readonly status: () => FabricStatus;
  readonly report: () => FabricReport;
  /** Why pods of this node are not served in full; empty when they are. */
  readonly whyNotReady: () => string;
  /** What is wrong, in words with the cure. */
  readonly problems: () => readonly string[];
  /** Rules of others that masquerade what pods send to each other, in words without the cure. */
  readonly masquerades: () => readonly string[];
  /** This node's. */
  readonly podCIDRs: () => readonly Cidr[];
  /** Other nodes, with the way to their pods. */
  readonly peers: () => readonly PlannedPeer[];
  /** What probes have found of these ways. */
  readonly paths: () => readonly PathFinding[];
}

/**
 * Starts the fabric on a source that is not started yet, and what makes a node ready for pods once it
 * is there. Nothing is written before all Nodes were read.
 */
export function startFabric(
  context: ClusterContext,
  isProxyServing: () => boolean,
): FabricComponent {
  const { config, lifecycle, nodeEvents } = context;
  const log = context.log.child({ component: 'fabric' });
  const rtnl = openRtnl();
  lifecycle.onShutdown('routes', () => rtnl.close());
  const readiness = new Readiness();
  const subnets = openSubnets(context, rtnl, () => {
    configure();
    life.look();
  });
  const effective = () => subnets.settings(context.live.current.fabric);
  const guard = openFabricGuard(context, () => probes.port(), effective);
  const fabric = new Fabric({
    nodeName: config.nodeName,
    kernel: { rtnl, sysctls, netns: undefined },
    settings: settingsOf(effective(), [], subnets.whyNoNode()),
    clock: context.clock,
    log,
    guard: guard.put,
    onReport: (report) => {
      readiness.tell(report);
      probes.follow(report);
    },
  });
  const probes = startPathProbes(context, rtnl);
  const watch = watchKernel(nodeEvents, fabric);
  lifecycle.onShutdown('fabric', async () => {
    watch.close();
    await fabric.stop();
    await guard.close();
  });
  const configure = feedFabric(context, fabric, subnets);
  const whyBarred = subnets.barred;
  const life = startNodeLife(context, { readiness, rtnl, isProxyServing, whyBarred });
  context.metrics.observeFabric(() => {
    return {
      report: fabric.report,
      life: life.state(),
      findings: probes.findings(),
      guard: { repairs: guard.repairs(), dropped: guard.dropped() },
    };
  });
  return {
    report: () => fabric.report,
    status: () => {
      const { backend } = effective();
      return fabricStatus(fabric.report, backend, probes.findings(), life.state().isOpen);
    },
    whyNotReady: () => {
      const { isReady, reason } = fabric.report;
      return isReady && !life.state().isOpen ? 'pods do not start yet' : reason;
    },
    problems: () => [...subnets.problems(), ...life.problems(), ...probes.problems()],
    masquerades: () => guard.masquerades(),
    podCIDRs: () => fabric.report.podCIDRs,
    peers: () => fabric.report.peers,
    paths: () => probes.findings(),
  };
}

/**
 * Hands over Nodes, and the networks of Services, which are nobody's podCIDR. What it gives hands the settings
 * over again.
 */
function feedFabric(
  { config, live, log, objects }: ClusterContext,
  fabric: Fabric,
  subnets: NodeSubnets,
): () => void {
  let serviceNetworks: readonly Cidr[] = [];
  const configure = () => {
    const settings = subnets.settings(live.current.fabric);
    fabric.reconfigure(settingsOf(settings, serviceNetworks, subnets.whyNoNode()));
  };
  live.follow(configure);
  const networksRead = watchServiceCIDRs(objects.source, config.serviceCIDRs, (cidrs) => {
    serviceNetworks = cidrs;
    configure();
  });
  // Whoever waits for a subnet may have been given one by any that goes.
  const lookIfOwn = ({ metadata }: Node) => {
    if (metadata.name === config.nodeName || subnets.problems().length > 0) subnets.look();
  };
  const { synced: nodesRead, confirmed } = objects.source.watch(nodes(), {
    onAdd: (node) => fabric.putNode(node),
    onUpdate: (node) => {
      fabric.putNode(node);
      lookIfOwn(node);
    },
    onDelete: (node) => {
      fabric.deleteNode(node.metadata.name);
      lookIfOwn(node);
    },
  });
  void confirmed.then(() => fabric.setConfirmed());
  void Promise.all([nodesRead, networksRead]).then(() => {
    log.info({ node: config.nodeName }, 'Nodes read');
    fabric.setSynced();
  });
  return configure;
}

function startNodeLife(
  context: ClusterContext,
  parts: {
    readonly readiness: FabricReadiness;
    readonly rtnl: NodeRtnl;
    readonly isProxyServing: () => boolean;
    readonly whyBarred: () => string | undefined;
  },
): NodeLife {
  const { config, clock, lifecycle, objects } = context;
  const { runDir: runDirectory, nodeName } = config;
  const log = context.log.child({ component: 'fabric' });
  const { manageConflist, conflistName: name } = config.fabric;
  const { confDirectory: directory, ipamDirectory, binDirectory } = config.cni;
  const dataDir = ipamDirectory === DEFAULT_CNI.ipamDirectory ? {} : { dataDir: ipamDirectory };
  const hasPolicies = config.components.has('policy');
  const { client } = objects;
  const records = openRecords(join(runDirectory, 'attachments'), {
    bootId: readBootId,
    now: () => clock.now(),
  });
  const life = new NodeLife({
    fabric: parts.readiness,
    isProxyServing: parts.isProxyServing,
    whyBarred: parts.whyBarred,
    gate: { component: 'fabric', runDirectory, bootId: readBootId },
    ...(hasPolicies
      ? { policyGate: openBootGate({ component: 'policy', runDirectory, bootId: readBootId }) }
      : {}),
    ...(manageConflist ? { conflist: { directory, name, hasPolicies, ...dataDir } } : {}),
    ...(binDirectory === undefined ? {} : { binDirectory }),
    ...(client === undefined
      ? {}
      : {
          condition: new NodeCondition({
            ...{ client, nodeName, clock, log, random: Math.random, signal: lifecycle.signal },
          }),
        }),
    records: () => records.list(),
    removeFormerGateways: (facts, present) => removeFormerGateways(parts.rtnl, facts, present),
    followMtu: (facts) => followMtu(parts.rtnl, facts),
    report: (event) =>
      objects.events.send({
        ...{ about: nodeOf(config), controller: 'weft', action: 'PrepareNode', ...event },
      }),
    clock,
    log,
  });
  lifecycle.onShutdown('node life', () => life.close());
  return life;
}

/** The facts of now for who begins to follow, and later ones as they change. */
class Readiness implements FabricReadiness {
  readonly #listeners: ((facts: FabricFacts) => void)[] = [];
  #facts: FabricFacts | undefined;

  follow(listener: (facts: FabricFacts) => void): void {
    this.#listeners.push(listener);
    if (this.#facts !== undefined) listener(this.#facts);
  }

  tell({ isReady, reason, podCIDRs, mtu = 0 }: FabricReport): void {
    const facts = { isReady, reason, podCIDRs, mtu };
    if (JSON.stringify(facts) === JSON.stringify(this.#facts)) return;
    this.#facts = facts;
    for (const listener of this.#listeners) listener(facts);
  }
}

function settingsOf(
  { backend, tunnelPort, vni, mtu, clusterCIDRs }: FabricSettings,
  serviceCIDRs: readonly Cidr[],
  whyNoNode: string | undefined,
) {
  return { backend, tunnelPort, vni, mtu, clusterCIDRs, serviceCIDRs, whyNoNode };
}
