/** Pods that a node's runtime starts: by the first network configuration on the node, in namespaces below /run/netns. */
import type { ClusterNode } from '../cluster.ts';
import { until } from '../until.ts';
import type { StoryNode } from './story-cluster.ts';

export interface StartedPod {
  readonly node: ClusterNode;
  /** Of its network namespace, as this process sees it. */
  readonly path: string;
  readonly addresses: readonly string[];
  readonly list: string;
}

interface NetworkList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly Readonly<Record<string, unknown>>[];
}

/** Starts a pod as a runtime does, which takes the first configuration by name; waits while that says "try again later". */
export async function startPod({ node, files }: StoryNode, name: string): Promise<StartedPod> {
  const { netnsPath } = await node.createSandbox(name);
  files.run(`touch /run/netns/${name} && mount --bind ${netnsPath} /run/netns/${name}`);
  const list = await until('there is a network configuration', () =>
    files
      .run('ls /etc/cni/net.d')
      .split('\n')
      .find((file) => /\.conflist$/.test(file)),
  );
  const {
    cniVersion,
    name: network,
    plugins,
  }: NetworkList = JSON.parse(files.run(`cat /etc/cni/net.d/${list}`));
  const [plugin] = plugins;
  const input = JSON.stringify({ cniVersion, name: network, ...plugin });
  const environment = {
    ...{ CNI_COMMAND: 'ADD', CNI_CONTAINERID: name, CNI_IFNAME: 'eth0', CNI_PATH: '/opt/cni/bin' },
    CNI_NETNS: `/run/netns/${name}`,
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`,
  };
  const answer = await until('ADD is answered with an address', () =>
    files.run(`exec /opt/cni/bin/${plugin?.['type']}`, { input, environment }),
  );
  const { ips }: { readonly ips: readonly { readonly address: string }[] } = JSON.parse(answer);
  const addresses = ips.map(({ address }) => address.replace(/\/.*/, ''));
  return { node, path: netnsPath, addresses, list };
}
