import { ZONE_LABEL } from '../kube/resources.ts';
import type { Node } from '../kube/types.ts';
import {
  type Cidr,
  cidrFamily,
  containsIP,
  networkAddress,
  prefixLength,
  tryParseCidr,
} from '../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, isLoopback, parseIP, tryParseIP } from '../net/ip.ts';

/** Which of the node's addresses accept NodePort traffic, as configured. */
export type NodePortAddresses =
  | { readonly kind: 'primary' }
  | { readonly kind: 'cidrs'; readonly cidrs: readonly Cidr[] };

/** How to tell traffic of this node's pods from other traffic, as configured. */
export type LocalDetection =
  | { readonly kind: 'cidrs'; readonly cidrs: readonly Cidr[] }
  | { readonly kind: 'nodeCIDRs' }
  | { readonly kind: 'bridge'; readonly name: string }
  | { readonly kind: 'interfacePrefix'; readonly prefix: string };

/** The same for one address family, with what is known of the node filled in. */
export type LocalDetector =
  | { readonly kind: 'cidrs'; readonly cidrs: readonly Cidr[] }
  | { readonly kind: 'bridge'; readonly name: string }
  | { readonly kind: 'interfacePrefix'; readonly prefix: string };

/** What the proxy reads of its own Node object. */
export interface NodeFacts {
  readonly zone: string | undefined;
  /** InternalIPs first, then ExternalIPs, each in the object's order. */
  readonly addresses: readonly IP[];
  readonly podCIDRs: readonly Cidr[];
}

const LOOPBACK: Readonly<Record<IPFamily, IP>> = { 4: parseIP('127.0.0.1'), 6: parseIP('::1') };

/** Reads the Node object of this node; what cannot be parsed is left out. */
export function parseNode({ metadata, spec, status }: Node): NodeFacts {
  const addressesOf = (type: string) =>
    (status?.addresses ?? []).flatMap((entry) =>
      entry.type === type ? (tryParseIP(entry.address) ?? []) : [],
    );
  return {
    zone: metadata.labels?.[ZONE_LABEL],
    addresses: [...addressesOf('InternalIP'), ...addressesOf('ExternalIP')],
    podCIDRs: (spec?.podCIDRs ?? []).flatMap((text) => tryParseCidr(text) ?? []),
  };
}

/** The detector of one family; undefined when nothing tells its local traffic from other. */
export function localDetector(
  detection: LocalDetection | undefined,
  family: IPFamily,
  node: NodeFacts | undefined,
): LocalDetector | undefined {
  if (detection === undefined) return undefined;
  if (detection.kind !== 'cidrs' && detection.kind !== 'nodeCIDRs') return detection;
  const all = detection.kind === 'cidrs' ? detection.cidrs : (node?.podCIDRs ?? []);
  const cidrs = all.filter((cidr) => cidrFamily(cidr) === family);
  return cidrs.length === 0 ? undefined : { kind: 'cidrs', cidrs };
}

/**
 * True when NodePorts of the family answer on every local address: no network of the family is
 * configured, or one that covers all of it. With `primary` only where no Node object can ever tell
 * the node's address; as long as one may come, guessing would open ports on addresses nobody chose.
 */
export function acceptsOnAllAddresses(
  configured: NodePortAddresses,
  family: IPFamily,
  hasNodeObjects: boolean,
): boolean {
  if (configured.kind === 'primary') return !hasNodeObjects;
  const cidrs = configured.cidrs.filter((cidr) => cidrFamily(cidr) === family);
  return cidrs.length === 0 || cidrs.some((cidr) => prefixLength(cidr) === 0);
}

/** Whether 127.0.0.1 or ::1 is among the addresses that are to accept NodePort traffic. */
export function acceptsOnLoopback(configured: NodePortAddresses, family: IPFamily): boolean {
  if (configured.kind === 'primary') return false;
  const cidrs = configured.cidrs.filter((cidr) => cidrFamily(cidr) === family);
  return (
    cidrs.length === 0 ||
    cidrs.some((cidr) => isLoopback(networkAddress(cidr)) || containsIP(cidr, LOOPBACK[family]))
  );
}

/** The listed addresses of one family that accept NodePort traffic; never a loopback address. */
export function nodePortIPs(
  configured: NodePortAddresses,
  family: IPFamily,
  node: NodeFacts | undefined,
  localAddresses: () => readonly IP[],
): readonly IP[] {
  const isUsable = (ip: IP) => ipFamily(ip) === family && !isLoopback(ip);
  if (configured.kind === 'primary') return (node?.addresses ?? []).filter(isUsable).slice(0, 1);
  return localAddresses().filter(
    (ip) => isUsable(ip) && configured.cidrs.some((cidr) => containsIP(cidr, ip)),
  );
}
