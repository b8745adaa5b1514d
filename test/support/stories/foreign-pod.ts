import type { ClusterNode } from '../cluster.ts';
import { connect, createNetns, type TestNetns } from '../netns.ts';

/** Where the pods of somebody else's network are: number 9 of the node's podCIDRs, on the bridge cni0. */
export function foreignAddresses({ podCIDRs: [v4, v6] }: ClusterNode): readonly [string, string] {
  return [v4.replace(/0\/24$/, '9'), v6.replace(/\/64$/, '9')];
}

/** A pod as bridge and host-local make it; the first of a node makes the bridge. */
export function createForeignPod(node: ClusterNode): TestNetns {
  const { netns } = node;
  const pod = createNetns(`${node.name}-pod`);
  const [v4, v6] = foreignAddresses(node);
  const [gateway4, gateway6] = [v4.replace(/9$/, '1'), v6.replace(/9$/, '1')];
  netns.batch([
    ...['link add cni0 type bridge', 'link set cni0 up'],
    ...[`addr add ${gateway4}/24 dev cni0`, `addr add ${gateway6}/64 dev cni0 nodad`],
  ]);
  connect(
    { netns, link: 'veth-old' },
    { netns: pod, link: 'eth0', addresses: [`${v4}/24`, `${v6}/64`] },
  );
  // A pod reaches itself through a Service, as with flannel's configuration.
  netns.batch(['link set veth-old master cni0', 'link set veth-old type bridge_slave hairpin on']);
  pod.batch([`route add default via ${gateway4}`, `route add default via ${gateway6}`]);
  return pod;
}
