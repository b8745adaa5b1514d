import type { AttachmentRecord } from '../../../cni/attachment-records.ts';
import type { HostPortRecord } from '../../../cni/host-ports.ts';
import { lossOfNetns, requirePlace } from '../../../cni/machine.ts';
import { netnses } from '../../../kernel/netns.ts';
import { openRtnl } from '../../../kernel/rtnl.ts';
import { sysctls } from '../../../kernel/sysctls.ts';
import type { Netns, RouteAnswer, RouteQuestion } from '../../../kernel/types.ts';
import { networkOf } from '../../../net/cidr.ts';
import type { FabricComponent } from '../../fabric/component.ts';
import type { LocalPod, NodeFacts } from './node-facts.ts';

/** What belongs to the node besides its network. */
export interface NodeParts {
  readonly records: () => readonly AttachmentRecord[];
  readonly hostPorts: () => readonly HostPortRecord[];
  readonly fabric: Pick<FabricComponent, 'peers' | 'paths'> | undefined;
}

export interface OpenNode extends NodeFacts {
  readonly hostPorts: () => readonly HostPortRecord[];
  readonly pods: () => readonly LocalPod[];
  close(): void;
}

/** Opens what questions about packets are answered from; everything is read when it is asked for. */
export function openNode({ records, hostPorts, fabric }: NodeParts): OpenNode {
  const rtnl = openRtnl();
  let pods: readonly LocalPod[] | undefined;
  const localPods = () => (pods ??= records().map(localPod));
  const opened = new Map<string, Netns>();
  const podNetns = ({ netns: place }: LocalPod): Netns => {
    const netns = opened.get(place.id) ?? requirePlace(netnses, place);
    opened.set(place.id, netns);
    return netns;
  };
  return {
    askRoute: (question) => rtnl.askRoute(question),
    link: (name) => rtnl.link(name),
    linkByIndex: (index) => rtnl.linkByIndex(index),
    localAddresses: rtnl.addresses().map(({ address }) => address),
    sysctl: (path) => sysctls.read(undefined, path),
    pods: localPods,
    podAt: (ip) => localPods().find(({ ips }) => ips.includes(ip)),
    askPodRoute: (pod, question) => askRouteIn(() => podNetns(pod), question),
    netnsLoss: ({ netns: place }) => (opened.has(place.id) ? undefined : lossOfNetns(place)),
    podNetns,
    peers: fabric?.peers() ?? [],
    paths: fabric?.paths() ?? [],
    hostPorts,
    close: () => {
      for (const netns of opened.values()) netns.close();
      rtnl.close();
    },
  };
}

export function localPod({
  attachment,
  pod: { podNamespace, podName },
  addresses,
  plan,
  inside,
  netns,
}: AttachmentRecord): LocalPod {
  return {
    name:
      podNamespace === undefined || podName === undefined
        ? attachment.containerId
        : `${podNamespace}/${podName}`,
    ips: addresses,
    hostLink: plan?.host.name ?? '',
    gatewayLink: plan?.vlanGateway?.name ?? plan?.bridge.name ?? '',
    isRouted: plan?.sameNode !== undefined,
    networks: (inside?.addresses ?? []).map(networkOf),
    mtu: inside?.mtu,
    netns,
  };
}

/** A pod that goes away meanwhile cannot be asked; nor one whose namespace is not seen from here. */
function askRouteIn(open: () => Netns, question: RouteQuestion): RouteAnswer | undefined {
  try {
    const rtnl = openRtnl(open());
    try {
      return rtnl.askRoute(question);
    } finally {
      rtnl.close();
    }
  } catch {
    return undefined;
  }
}
