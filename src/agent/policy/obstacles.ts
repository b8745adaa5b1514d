/** What takes connections to Services around the rules of policies, whatever they say. */

export interface ServiceFacts {
  /** Of the proxy in this agent; undefined where another one serves, or none. */
  readonly proxyMode: string | undefined;
  /** /proc/net/ip_vs; empty where the kernel has no IPVS. */
  readonly ipvs: string;
}

/** Modes that hand connections over to where no forward hook sees them. */
const BLIND_MODES: Readonly<Record<string, string>> = {
  ipvs: 'takes connections to Services around the rules',
  userspace: 'makes connections to Services again, as the node, which every pod lets in',
};
/** A virtual server, whoever made it (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show). */
const VIRTUAL_SERVER = /^(?:TCP|UDP|SCTP|FWM)\s/m;

/** Why no policy holds for connections to Services, with the cure; undefined where they hold. */
export function serviceObstacle({ proxyMode, ipvs }: ServiceFacts): string | undefined {
  const why = proxyMode === undefined ? undefined : BLIND_MODES[proxyMode];
  const cure = 'or take the component policy out of this agent';
  if (why !== undefined) {
    return `proxy mode ${proxyMode} ${why}: set proxy.mode to nftables or iptables, ${cure}`;
  }
  if (!VIRTUAL_SERVER.test(ipvs)) return undefined;
  return (
    'there are virtual servers of IPVS (ipvsadm -ln), which take connections around the rules: ' +
    `remove them, as with weft cleanup or kube-proxy --cleanup, ${cure}`
  );
}
