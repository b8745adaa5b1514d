/** Sysctls of the node that pods and Services depend on. Pure. */
import { BRIDGE_CALLS } from '../../cni/upkeep/bridge-calls.ts';
import type { IPFamily } from '../../net/ip.ts';
import { type Check, type Fact, known } from './check.ts';

export interface SysctlFacts {
  /** Families that pods of this node have addresses of; IPv4 where there are no pods. */
  readonly families: readonly IPFamily[];
  /** Something of ours relies on forwarding at all times: pods that are there, the fabric. */
  readonly forwardsNow: boolean;
  /** By name below /proc/sys; undefined: the kernel does not have it. */
  readonly forwarding: Readonly<Record<IPFamily, Fact<string | undefined>>>;
  readonly bridgeCalls: Readonly<Record<IPFamily, Fact<string | undefined>>>;
  /** Bridges with several pods whose packets go from port to port. */
  readonly sharedBridges: readonly string[];
  /** Bridges whose pods are sent through the node. */
  readonly isolatedBridges: readonly string[];
  /** Services are translated here by weft. */
  readonly hasProxy: boolean;
}

export const FORWARDING: Readonly<Record<IPFamily, string>> = {
  4: 'net/ipv4/ip_forward',
  6: 'net/ipv6/conf/all/forwarding',
};

const ipForward: Check<SysctlFacts> = {
  id: 'ip-forward',
  concernsTraffic: true,
  why: 'without it the node drops what pods send to other nodes, and what comes for them and for Services',
  judge: ({ families, forwarding, forwardsNow }) => {
    const off = families.filter((family) => known(forwarding[family]) !== '1');
    if (off.length === 0)
      return { level: 'ok', seen: `forwarding is on (${familyNames(families)})` };
    const names = off.map((family) => dotted(FORWARDING[family]));
    return {
      level: forwardsNow ? 'failing' : 'warning',
      seen: `${names.join(' and ')} ${isOrAre(off)} 0`,
      cure: `${setCommand(names)}; keep it in /etc/sysctl.d`,
    };
  },
};

const bridgeCalls: Check<SysctlFacts> = {
  id: 'bridge-nf-call',
  concernsTraffic: true,
  why: 'answers from a pod of the same bridge pass by the translation of Services, and the client drops them',
  judge: ({ families, bridgeCalls: values, sharedBridges, isolatedBridges, hasProxy }) => {
    if (sharedBridges.length === 0) {
      if (isolatedBridges.length === 0) return undefined;
      const seen = `not needed: pods of ${isolatedBridges.join(', ')} are sent through the node`;
      return { level: 'ok', seen };
    }
    const off = families.filter((family) => known(values[family]) !== '1');
    if (off.length === 0)
      return { level: 'ok', seen: 'bridged packets pass the rules of the node' };
    const names = off.map((family) => dotted(BRIDGE_CALLS[family]));
    const isLoaded = off.every((family) => known(values[family]) !== undefined);
    const load = isLoaded ? '' : 'modprobe br_netfilter && ';
    return {
      level: hasProxy ? 'failing' : 'warning',
      seen: isLoaded
        ? `${names.join(' and ')} ${isOrAre(off)} 0, and pods share bridge ${sharedBridges.join(', ')}`
        : `br_netfilter is not loaded, and pods share bridge ${sharedBridges.join(', ')}`,
      cure: `${load}${setCommand(names)}`,
    };
  },
};

export const SYSCTL_CHECKS: readonly Check<SysctlFacts>[] = [ipForward, bridgeCalls];

function setCommand(names: readonly string[]): string {
  return `sysctl -w ${names.map((name) => `${name}=1`).join(' ')}`;
}

function dotted(path: string): string {
  return path.replaceAll('/', '.');
}

function isOrAre(list: readonly unknown[]): string {
  return list.length === 1 ? 'is' : 'are';
}

function familyNames(families: readonly IPFamily[]): string {
  return families.map((family) => `IPv${family}`).join(', ');
}
