/** Other programs of the kind, and what the kernel can do. Pure. */
import { stopAdvice } from '../proxy/kube-proxy-process.ts';
import { type Check, type Fact, known } from './check.ts';

export interface ProgramFacts {
  /** Programs that do what weft does, and run in this node's network. */
  readonly running: Fact<readonly RunningProgram[]>;
  /** False where processes of the node cannot be seen. */
  readonly seesProcesses: boolean;
  /** Services are weft's. */
  readonly hasProxy: boolean;
  /** Ways to other nodes are weft's, or pods are connected by it. */
  readonly hasNetwork: boolean;
  /** Undefined: it has it; else why not. */
  readonly nftables: Fact<string | undefined>;
  /** Variants of iptables that are installed. */
  readonly iptables: Fact<readonly string[]>;
  /** The mode that Services are served in; undefined without an agent, or proxy. */
  readonly mode: string | undefined;
}

export interface RunningProgram {
  readonly pid: number;
  /** As the kernel has it: at most 15 characters. */
  readonly name: string;
  readonly cgroup: string;
}

/** Names of processes (comm) of network plugins' daemons. */
export const OTHER_NETWORKS: readonly string[] = [
  ...['flanneld', 'calico-node', 'cilium-agent', 'antrea-agent', 'kube-router', 'kindnetd'],
  ...['weaver', 'ovnkube', 'aws-k8s-agent', 'canal'],
];

const kubeProxy: Check<ProgramFacts> = {
  id: 'kube-proxy',
  concernsTraffic: true,
  why: 'two programs balance the same Services, and each undoes what the other does',
  judge: ({ running, hasProxy, seesProcesses }) => {
    if (!hasProxy) return undefined;
    const found = known(running).find(({ name }) => name === 'kube-proxy');
    if (found === undefined) {
      const seen = seesProcesses
        ? 'no kube-proxy runs here'
        : 'no kube-proxy among the processes that can be seen';
      return { level: 'ok', seen };
    }
    return {
      level: 'failing',
      seen: `kube-proxy runs here too, pid ${found.pid}`,
      cure: stopAdvice(found),
    };
  },
};

const otherNetwork: Check<ProgramFacts> = {
  id: 'other-network',
  concernsTraffic: true,
  why: 'two programs make routes, rules and the network configuration: which one new pods get is chance',
  judge: ({ running, hasNetwork }) => {
    if (!hasNetwork) return undefined;
    const found = known(running).find(({ name }) => name !== 'kube-proxy');
    if (found === undefined)
      return { level: 'ok', seen: 'no daemon of another network plugin runs here' };
    return {
      level: 'warning',
      seen: `${found.name} runs here too, pid ${found.pid}`,
      cure: 'take its DaemonSet off this node, then its file out of /etc/cni/net.d; docs/migrate.md has the order',
    };
  },
};

const kernelFeatures: Check<ProgramFacts> = {
  id: 'kernel-features',
  concernsTraffic: true,
  why: 'Services need nf_tables (mode nftables) or iptables',
  judge: (facts) => {
    const lacking = known(facts.nftables);
    const variants = known(facts.iptables);
    const { mode } = facts;
    if (lacking === undefined) return { level: 'ok', seen: 'the kernel has nf_tables' };
    if (mode !== undefined && mode !== 'nftables') {
      return { level: 'ok', seen: `the kernel has no nf_tables, and mode ${mode} needs none` };
    }
    const seen = `the kernel has no nf_tables: ${lacking}`;
    const cure = 'boot a kernel with CONFIG_NF_TABLES (modprobe nf_tables)';
    if (variants.length === 0) {
      return {
        level: 'failing',
        seen: `${seen}; iptables is not installed`,
        cure: `${cure}, or install iptables`,
      };
    }
    return { level: 'warning', seen: `${seen}; iptables (${variants.join(', ')}) is there`, cure };
  },
};

export const PROGRAM_CHECKS: readonly Check<ProgramFacts>[] = [
  kubeProxy,
  otherNetwork,
  kernelFeatures,
];
