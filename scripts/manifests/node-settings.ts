/** What an agent is given beyond the defaults, in a pod and without pods: one source for both. */

/** Pods are those of the Node's podCIDRs; NodePorts are for the Node's own address. */
const EVERYWHERE = {
  components: ['cni', 'proxy', 'fabric', 'policy'],
  proxy: { detectLocalMode: 'NodeCIDR', nodePortAddresses: ['primary'] },
} as const;

/** Of the ConfigMap. */
export const IN_A_POD = {
  ...EVERYWHERE,
  // Where the init container leaves what it may read and the agent may not.
  kubelet: { hostRoot: '/run/weft/host' },
  // What the kubelet gives a node-critical pod; to lower it takes CAP_SYS_RESOURCE. A unit has the default.
  proxy: { ...EVERYWHERE.proxy, oomScoreAdj: -997 },
} as const;

/** Of the release, whose agent has no service account. */
export const WITHOUT_PODS = { ...EVERYWHERE, kubeconfig: '/etc/weft/kubeconfig' } as const;
