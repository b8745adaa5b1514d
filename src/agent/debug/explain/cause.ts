/** What of a node keeps packets from their way, and what cures it. */
import type { NetnsLoss } from '../../../cni/machine.ts';
import type { IP, IPFamily } from '../../../net/ip.ts';
import type { LocalPod } from './node-facts.ts';

export type CauseId =
  | 'pod-netns'
  | 'pod-route'
  | 'no-route'
  | 'forwarding'
  | 'rp-filter'
  | 'source-refused'
  | 'conntrack-full'
  | 'bridge-nf-call'
  | 'untranslated'
  | 'mtu'
  | 'pod-not-local'
  | 'no-endpoints'
  | 'not-listening'
  | 'other-listener'
  | 'endpoint-silent'
  | 'foreign-rule'
  | 'unseen-rule'
  | 'link';

export interface Cause {
  readonly id: CauseId;
  /** `none`: packets pass, but not as somebody may have meant it. */
  readonly effect: 'drops' | 'refuses' | 'mayDrop' | 'none';
  readonly direction: 'request' | 'reply';
  /** One sentence, without a full stop. */
  readonly seen: string;
  /** The command or setting. */
  readonly cure: string;
}

export function familyName(family: IPFamily): 'ipv4' | 'ipv6' {
  return family === 4 ? 'ipv4' : 'ipv6';
}

export function forwardingCause(family: IPFamily, link: string): Omit<Cause, 'direction'> {
  const setting = family === 4 ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding';
  return {
    id: 'forwarding',
    effect: 'drops',
    seen: `this node does not forward what comes in by ${link} (net.${familyName(family)}.conf.${link}.forwarding is 0)`,
    cure: `sysctl -w ${setting}=1`,
  };
}

export function rpFilterCause(
  link: string,
  source: IP,
  wayBack: string,
  isLoose: boolean,
): Omit<Cause, 'direction'> {
  const value = isLoose ? '2 (loose)' : '1 (strict)';
  return {
    id: 'rp-filter',
    effect: 'drops',
    seen: `rp_filter is ${value} on ${link}, where packets from ${source} come in, and ${wayBack}`,
    cure: isLoose
      ? `add a route to ${source}`
      : `sysctl -w net.ipv4.conf.${link}.rp_filter=2, or a route to ${source} by ${link}`,
  };
}

export function conntrackCause(count: number, max: number): Omit<Cause, 'direction'> {
  const isFull = count >= max;
  const share = Math.floor((count / max) * 100);
  return {
    id: 'conntrack-full',
    effect: isFull ? 'drops' : 'mayDrop',
    seen: `the connection table is ${share} % full (${count} of ${max}): ${isFull ? 'new connections are dropped' : 'once it is full, new connections are dropped'}`,
    cure: `sysctl -w net.netfilter.nf_conntrack_max=${max * 2}; conntrack -L tells who fills it`,
  };
}

export function bridgeCause(family: IPFamily, bridge: string): Omit<Cause, 'direction'> {
  const setting = `net.bridge.bridge-nf-call-${family === 4 ? 'iptables' : 'ip6tables'}`;
  return {
    id: 'bridge-nf-call',
    effect: 'drops',
    seen: `client and endpoint are on bridge ${bridge}: the reply goes past the node's NAT and the client does not know who answers`,
    cure: `modprobe br_netfilter; sysctl -w ${setting}=1, or have the pods made anew by weft, which routes them`,
  };
}

/** Processes may have the namespace that was there: the kernel keeps it for them. */
export function podNetnsCause(
  { name, netns }: Pick<LocalPod, 'name' | 'netns'>,
  loss: NetnsLoss,
): Omit<Cause, 'direction'> {
  const found =
    loss === 'gone'
      ? `nothing is at ${netns.path}`
      : `another network namespace is at ${netns.path}`;
  return {
    id: 'pod-netns',
    effect: 'mayDrop',
    seen: `pod ${name} has lost its network namespace: ${found}`,
    cure: 'delete the pod: a new one is attached anew. Of a pod that has ended the agent removes what is left',
  };
}
