import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** A program that runs in this node's network. */
export interface NodeProcess {
  readonly pid: number;
  /** As the kernel has it (comm). */
  readonly name: string;
  /** `/kubepods.slice/…` or `/system.slice/kube-proxy.service`; empty when it cannot be read. */
  readonly cgroup: string;
}

/** A kube-proxy that runs in this node's network. */
export type KubeProxyProcess = Omit<NodeProcess, 'name'>;

/** The namespace that a kernel boots with has this number (PROC_PID_INIT_INO). */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]';

/**
 * The kube-proxy whose rules meet this node's packets. One in another network namespace belongs to a
 * cluster whose nodes are containers here. Where the namespace may not be read it counts as ours,
 * because to spare a foreign one costs nothing.
 */
export function findKubeProxy(proc = '/proc'): KubeProxyProcess | undefined {
  const [found] = findNodeProcesses(new Set(['kube-proxy']), proc);
  return found && { pid: found.pid, cgroup: found.cgroup };
}

/** The same for programs of several names; all of them. */
export function findNodeProcesses(
  names: ReadonlySet<string>,
  proc = '/proc',
): readonly NodeProcess[] {
  const own = linkText(join(proc, 'self/ns/net'));
  return readdirSync(proc).flatMap((entry) => {
    const name = /^\d+$/.test(entry) ? fileText(join(proc, entry, 'comm')) : undefined;
    if (name === undefined || !names.has(name)) return [];
    const network = linkText(join(proc, entry, 'ns/net'));
    if (network !== undefined && own !== undefined && network !== own) return [];
    return [{ pid: Number(entry), name, cgroup: cgroupOf(join(proc, entry, 'cgroup')) }];
  });
}

/** False in a container without hostPID, which shows no processes but its own. */
export function seesNodeProcesses(proc = '/proc'): boolean {
  return linkText(join(proc, 'self/ns/pid')) === FIRST_PID_NAMESPACE;
}

/** How a kube-proxy is stopped, and what is to be done after that, in this order. */
export function stopAdvice({ cgroup }: Pick<KubeProxyProcess, 'cgroup'>): string {
  const unit = /([^/]+\.service)(?:\/|$)/.exec(cgroup)?.[1];
  const isPod = cgroup.includes('kubepods');
  const stop = isPod
    ? 'delete the DaemonSet kube-proxy of kube-system or keep it off this node (or take its file ' +
      'out of /etc/kubernetes/manifests)'
    : unit === undefined
      ? 'end its DaemonSet, static pod or service'
      : `systemctl disable --now ${unit}`;
  return `stop it first: ${stop}; ${AFTER_STOP}`;
}

/** What is left of it once it has stopped. */
const AFTER_STOP =
  'then weft removes its nftables tables, and kube-proxy --cleanup what its modes iptables and ipvs left';

/** Of several hierarchies (cgroup v1) the one that tells who started it. */
function cgroupOf(path: string): string {
  const lines = fileText(path)?.split('\n') ?? [];
  const paths = lines.map((line) => line.split(':').slice(2).join(':'));
  return paths.find((found) => found.includes('kubepods') || found.endsWith('.service')) ?? '';
}

/** A process may end between the listing and the reading, and some may not be read. */
function fileText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function linkText(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
