/**
 * Which running pods send to each other past the node, whose forward hook is where policies are: decisions
 * on records and on what is there. See src/cni/bridge/same-node.ts for the way through the node.
 */
import type { Link, Neighbour, ProxyNeighbour, Route } from '../../kernel/types.ts';
import { networkAddress, prefixLength } from '../../net/cidr.ts';
import { addressBits, type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import { attachmentLabel, vethMacs } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { gatewayLink, sameNodePlan } from '../bridge/same-node.ts';
import { sendersOf } from '../bridge/spoof.ts';
import type { NodePlan } from '../node-plan.ts';

/** The node as it is. */
export interface SameNodeFacts {
  readonly links: readonly Link[];
  readonly proxies: readonly ProxyNeighbour[];
  /** What the node knows of pods. */
  readonly neighbours: readonly Neighbour[];
  /** Main tables of both families. */
  readonly routes: readonly Route[];
  /** Families of which br_netfilter shows the forward hook what goes from port to port. */
  readonly bridgedFamilies: readonly IPFamily[];
  /** Names of ports of which an ADD or DEL is at work. */
  readonly unfinishedPorts: ReadonlySet<string>;
}

/** A way by which packets of a pod reach others without the forward hook having seen them. */
export interface Bypass {
  /** In words, with the names of what is concerned. */
  readonly what: string;
  /** What an administrator can do; words. */
  readonly cure: string;
  /** `namespace/name` where the runtime has told, the attachment's label otherwise. */
  readonly pod?: string;
}

/** A pod that is to send through the node, or does so already as far as its port goes. */
export interface Conversion {
  readonly record: AttachmentRecord;
  /** What the record is to say. */
  readonly plan: NodePlan;
  readonly port: Link;
  /** That answers for pods. */
  readonly gateway: Link;
}

/** Those that can send through the node; none on a bridge where its answers would harm others. Pure. */
export function conversionsOf(
  records: readonly AttachmentRecord[],
  facts: SameNodeFacts,
): readonly Conversion[] {
  const node = indexed(records, facts);
  return records.flatMap((record): readonly Conversion[] => {
    const { plan } = record;
    const port = plan && node.byName.get(plan.host.name);
    const bridge = port && bridgeOf(port, node);
    if (plan === undefined || port === undefined || bridge === undefined) return [];
    const gateway = node.byName.get(gatewayLink(plan));
    if (gateway === undefined || whyNot(plan, bridge, node) !== undefined) return [];
    const known = facts.neighbours.find(({ address }) => record.addresses.includes(address));
    const mac = plan.sameNode?.mac ?? known?.mac ?? vethMacs(record.attachment).pod;
    const sameNode = sameNodePlan(gateway.name, mac, record.addresses);
    const wanted = { ...plan, host: { ...plan.host, isolated: true }, sameNode };
    return [{ record, plan: wanted, port, gateway }];
  });
}

/** Every bypass of these pods, each once, with its cure; none where all is well. Pure. */
export function findBypasses(
  records: readonly AttachmentRecord[],
  facts: SameNodeFacts,
): readonly Bypass[] {
  const node = indexed(records, facts);
  const bridges = new Map<Link, Set<IPFamily>>();
  const ofPods = records.flatMap((record): readonly Bypass[] => {
    const { plan, addresses } = record;
    if (plan === undefined) return bypassOfForeign(record, node);
    const port = node.byName.get(plan.host.name);
    const master = port?.master === undefined ? undefined : node.byIndex.get(port.master);
    // A pod without its pair, or whose pair leads nowhere, reaches nobody.
    if (port === undefined || master === undefined) return [];
    const pod = podText(record);
    if (master.kind !== 'bridge') {
      const what = `${pod}: its port ${port.name} is attached to ${master.name} (${master.kind ?? 'no bridge'})`;
      return [{ what, cure: `make it a port of bridge ${plan.bridge.name}`, pod }];
    }
    const families = new Set(addresses.map(ipFamily));
    bridges.set(master, new Set([...(bridges.get(master) ?? []), ...families]));
    const untied = untiedOf(record, plan);
    if (port.port?.isolated === true || isSeen(families, node)) return untied;
    const reason = whyNot(plan, master, node);
    const what = `${pod}: its port ${port.name} sends to other ports of bridge ${master.name}`;
    return [
      ...untied,
      {
        what: reason === undefined ? what : `${what}: ${reason.text}`,
        cure: reason?.cure ?? REPAIRED,
        pod,
      },
    ];
  });
  const ofPorts = [...bridges].flatMap(([bridge, families]) => {
    if (isSeen(families, node)) return [];
    return strangersOf(bridge, node).map(({ name }) => ({
      what: `port ${name} of bridge ${bridge.name} belongs to no pod that weft has made, and is not isolated`,
      cure: `remove the pod behind it, or take the port off the bridge; or ${BR_NETFILTER}`,
    }));
  });
  return [...ofPods, ...ofPorts];
}

const BR_NETFILTER =
  'load br_netfilter and set net.bridge.bridge-nf-call-iptables and -ip6tables to 1';
const REPAIRED = 'the agent isolates it; where that fails its log says why';
const TIED = 'the agent ties its own to the port; where that fails its log says why';

/** A pod that may be judged as another: nothing ties its addresses to its port. */
function untiedOf(record: AttachmentRecord, { host }: NodePlan): readonly Bypass[] {
  if (host.senders !== undefined) return [];
  const pod = podText(record);
  const what = `${pod}: what enters by its port ${host.name} may have addresses of others`;
  if (record.addresses.length === 0) {
    const cure = 'give its network ipam of type host-local or static';
    return [{ what: `${what}: its network gives it none that are known`, cure, pod }];
  }
  if (sendersOf(host, [], record.addresses) !== undefined) return [{ what, cure: TIED, pod }];
  const cure = 'give it an interface in each VLAN instead of vlanTrunk';
  return [{ what: `${what}: those that it has in VLANs of its trunk are not known`, cure, pod }];
}

interface Indexed extends SameNodeFacts {
  readonly byName: ReadonlyMap<string, Link>;
  readonly byIndex: ReadonlyMap<number, Link>;
  /** Names of ports that records tell of. */
  readonly ownPorts: ReadonlySet<string>;
  readonly records: readonly AttachmentRecord[];
}

function indexed(records: readonly AttachmentRecord[], facts: SameNodeFacts): Indexed {
  const plans = records.flatMap(({ plan }) => plan ?? []);
  const gateways = plans.flatMap(({ vlanGateway }) => vlanGateway?.port.name ?? []);
  return {
    ...facts,
    records,
    byName: new Map(facts.links.map((link) => [link.name, link])),
    byIndex: new Map(facts.links.map((link) => [link.index, link])),
    ownPorts: new Set([
      ...plans.map(({ host }) => host.name),
      ...gateways,
      ...facts.unfinishedPorts,
    ]),
  };
}

function bridgeOf({ master }: Link, { byIndex }: Indexed): Link | undefined {
  const link = master === undefined ? undefined : byIndex.get(master);
  return link?.kind === 'bridge' ? link : undefined;
}

function isSeen(families: ReadonlySet<IPFamily>, { bridgedFamilies }: Indexed): boolean {
  return [...families].every((family) => bridgedFamilies.includes(family));
}

interface Obstacle {
  readonly text: string;
  readonly cure: string;
}

/** Why the node cannot stand between the pods of a bridge. */
function whyNot(plan: NodePlan, bridge: Link, node: Indexed): Obstacle | undefined {
  if ((plan.vlanGateway ?? plan.bridge).addresses.length === 0) {
    const cure = `set isGateway or isDefaultGateway in the network; or ${BR_NETFILTER}`;
    return { text: 'the node is not their gateway', cure };
  }
  const lan = strangersOf(bridge, node).find(({ kind }) => kind !== 'veth');
  if (lan !== undefined) {
    const text = `the node would answer for hosts behind ${lan.name}`;
    return { text, cure: `take ${lan.name} off the bridge; or ${BR_NETFILTER}` };
  }
  const isolated = node.records.find(({ plan: other }) => {
    const isOfBridge =
      other !== undefined && node.byName.get(other.host.name)?.master === bridge.index;
    return isOfBridge && other.host.isolated && other.sameNode === undefined;
  });
  if (isolated === undefined) return undefined;
  const text = `pods with portIsolation, as ${podText(isolated)}, would reach each other`;
  return { text, cure: `give them a bridge of their own; or ${BR_NETFILTER}` };
}

/** Ports that no record tells of, from which frames go to every other port. */
function strangersOf(bridge: Link, { links, ownPorts }: Indexed): readonly Link[] {
  return links.filter(({ master, name, port }) => {
    return master === bridge.index && !ownPorts.has(name) && port?.isolated !== true;
  });
}

/** Of another plugin: what is routed to a link of its own passes the node. */
function bypassOfForeign(record: AttachmentRecord, node: Indexed): readonly Bypass[] {
  const isRouted = (address: IP) =>
    node.routes.some(({ destination, link }) => {
      const isOwn =
        networkAddress(destination) === address &&
        prefixLength(destination) === addressBits(ipFamily(address));
      const owner = isOwn && link !== undefined ? node.byIndex.get(link) : undefined;
      return owner?.kind === 'veth' && owner.master === undefined;
    });
  if (record.addresses.every(isRouted)) return [];
  const pod = podText(record);
  const what = `${pod}: another plugin made its interface, and no route leads to it alone`;
  return [{ what, cure: 'attach its network by type weft, bridge or ptp', pod }];
}

function podText({ pod: { podNamespace, podName }, attachment }: AttachmentRecord): string {
  if (podNamespace === undefined || podName === undefined) return attachmentLabel(attachment);
  return `${podNamespace}/${podName}`;
}
