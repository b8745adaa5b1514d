import { join } from 'node:path';
import { readBootId } from '../../cni/machine.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import { listConnections, watchConnections } from '../../kernel/connections.ts';
import { nodes } from '../../kube/resources.ts';
import type { Node } from '../../kube/types.ts';
import { tryParseCidr } from '../../net/cidr.ts';
import type { LocalPod } from '../../policy/change.ts';
import { nodeParty } from '../../policy/parties.ts';
import { readLocalAddresses } from '../../proxy/local-addresses.ts';
import { WeftError } from '../../util/errors.ts';
import type { AgentContext } from '../context.ts';
import type { OpenedSource } from '../objects/opened-source.ts';
import { LocalPods } from '../policy/local-pods.ts';
import type { PolicyView } from '../policy/view.ts';
import type { ProxyComponent } from '../proxy/component.ts';
import { accountingNotices, holdAccounting, restoreAccounting } from './accounting.ts';
import { ConnectionFeed, type FlowSources } from './feed.ts';
import type { FlowFeed } from './flow-event.ts';
import type { NamedAddresses, NamedNode, NameFacts } from './flow-names.ts';
import { FlowReaders } from './flow-reader.ts';
import { NameBook } from './name-book.ts';
import { watchRefusals } from './refusal-log.ts';

/** Whose names are known, and who denies. */
export interface FlowSurroundings {
  readonly proxy: ProxyComponent | undefined;
  readonly policy: PolicyView | undefined;
  readonly objects: OpenedSource | undefined;
}

export interface FlowComponent {
  readonly feed: FlowFeed;
  /** For those who ask again and again. */
  readonly readers: FlowReaders;
}

/** Opens the feed of flows; nothing is read or set before somebody asks. */
export function openFlows(context: AgentContext, surroundings: FlowSurroundings): FlowComponent {
  const { config, clock, lifecycle, metrics } = context;
  const log = context.log.child({ component: 'flows' });
  const accounting = { runDir: config.runDir, bootId: readBootId() };
  try {
    restoreAccounting(accounting);
  } catch (err) {
    log.warn({ err }, 'sysctls of connection tracking not put back');
  }
  let opened: ReturnType<typeof openNames> | undefined;
  const names = () => {
    opened ??= openNames(context, surroundings);
    return opened;
  };
  const feed = new ConnectionFeed({
    sources: openSources(surroundings, () => holdAccounting(accounting)),
    names: new NameBook({
      ...{ facts: () => names().facts(), localPods: () => names().localPods() },
      ...{ clock, log },
    }),
    ...{ clock, log },
    ...metrics.flows,
  });
  const readers = new FlowReaders({ feed, clock });
  lifecycle.onShutdown('flows', () => {
    readers.close();
    feed.close();
    opened?.close();
  });
  return { feed, readers };
}

function openSources(
  { policy }: FlowSurroundings,
  hold: FlowSources['holdAccounting'],
): FlowSources {
  return {
    watchConnections: (listener) => watchConnections({}, listener),
    watchRefusals,
    watchDenials: (listener) => {
      if (policy === undefined) return { close: () => {} };
      if (!policy.tellsDenied()) throw new WeftError('ENOTSUP', 'policy.logDenied is off');
      return policy.followDenied(listener);
    },
    pastDenials: () => policy?.denied(0) ?? [],
    holdAccounting: hold,
    listConnections: (filter, onPart) => listConnections(undefined, filter, onPart),
    notices: () => accountingNotices(),
  };
}

/** Followed from the first question on: that costs little, and nothing is read for it alone. */
function openNames(context: AgentContext, { proxy, policy, objects }: FlowSurroundings) {
  const { config, clock, nodeEvents } = context;
  const records = openRecords(join(config.runDir, 'attachments'), {
    bootId: readBootId,
    now: () => clock.now(),
  });
  const localPods = new LocalPods({ records, bootId: readBootId });
  const local = new Map<string, LocalPod>();
  localPods.follow((key, pod) => {
    if (pod === undefined) local.delete(key);
    else local.set(key, pod);
  });
  const addresses = readLocalAddresses(nodeEvents);
  const nodesByName = new Map<string, NamedNode>();
  // Only beside others who read them all: alone it would be a watch of its own.
  const watch = config.components.has('fabric')
    ? objects?.source.watch(nodes(), {
        onAdd: (node) => nodesByName.set(node.metadata.name, namedNode(node)),
        onUpdate: (node) => nodesByName.set(node.metadata.name, namedNode(node)),
        onDelete: ({ metadata }) => nodesByName.delete(metadata.name),
      })
    : undefined;
  const facts = (): NameFacts => ({
    nodeName: config.nodeName,
    localAddresses: addresses.read(),
    nodes: nodesByName.values(),
    pods: podsOf(policy),
    services: servicesOf(proxy),
  });
  return {
    facts,
    localPods: () => {
      localPods.read();
      return Array.from(local, ([name, { ips }]) => ({ name, ips }));
    },
    close: () => {
      watch?.close();
      addresses.close();
    },
  };
}

function namedNode(node: Node): NamedNode {
  const { name, ips } = nodeParty(node);
  return {
    name,
    ips,
    podCIDRs: (node.spec?.podCIDRs ?? []).flatMap((text) => tryParseCidr(text) ?? []),
  };
}

/** As far as policies need to know them. */
function* podsOf(policy: PolicyView | undefined): Generator<NamedAddresses> {
  for (const { key, ips } of policy?.world().parties.pods() ?? []) yield { name: key, ips };
}

function* servicesOf(proxy: ProxyComponent | undefined) {
  for (const snapshot of proxy?.snapshots().values() ?? []) {
    for (const [, entry] of snapshot.services()) yield* entry.ports;
  }
}
