import type { Node } from '../kube/types.ts';
import { type Cidr, parseSloppyCidr } from '../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, parseSloppyIP } from '../net/ip.ts';
import { type Mac, parseMac } from '../net/mac.ts';
import { specialKind } from '../net/special.ts';
import { tunnelMac } from './names.ts';

/** What the fabric knows of a Node. */
export interface FabricNode {
  readonly name: string;
  readonly uid: string;
  /** RFC 3339, which sorts as text; empty for an object from a file. */
  readonly createdAt: string;
  readonly podCIDRs: readonly Cidr[];
  /** InternalIPs, the first of each family. */
  readonly addresses: Partial<Readonly<Record<IPFamily, IP>>>;
  /** Of the device that its tunnels end at. */
  readonly tunnelMac: Mac;
  /** It has a device for each family: ours leads to that of the underlay's. */
  readonly hasTunnelPerFamily: boolean;
  /** What of the object cannot be used, in words. */
  readonly problems: readonly string[];
}

/** Reads a Node; what is wrong in it becomes a problem and leaves the rest as it is. */
export function readFabricNode(object: Node): FabricNode {
  const { metadata, spec, status, tunnelMac: mac, hasTunnelPerFamily = false } = object;
  const problems: string[] = [];
  const texts = spec?.podCIDRs ?? [];
  const podCIDRs = texts.flatMap((text) => {
    const cidr = parseSloppyCidr(text);
    if (cidr === undefined) problems.push(`podCIDR ${JSON.stringify(text)} is no network`);
    return cidr ?? [];
  });
  return {
    name: metadata.name,
    uid: metadata.uid ?? '',
    createdAt: metadata.creationTimestamp ?? '',
    // Thousands are kept: without the room that an array has to grow.
    podCIDRs: podCIDRs.slice(),
    addresses: internalAddresses(status, problems),
    tunnelMac: mac === undefined ? tunnelMac(metadata.name) : parseMac(mac),
    hasTunnelPerFamily,
    problems,
  };
}

function internalAddresses(status: Node['status'], problems: string[]): FabricNode['addresses'] {
  const found: { -readonly [family in IPFamily]?: IP } = {};
  for (const { type, address } of status?.addresses ?? []) {
    if (type !== 'InternalIP') continue;
    const ip = parseSloppyIP(address);
    const special = ip === undefined ? 'no address' : specialKind(ip);
    if (ip === undefined || special !== undefined) {
      problems.push(`InternalIP ${JSON.stringify(address)} cannot be used: ${special}`);
      continue;
    }
    found[ipFamily(ip)] ??= ip;
  }
  const { 4: four, 6: six } = found;
  if (four === undefined) return six === undefined ? {} : { 6: six };
  return six === undefined ? { 4: four } : { 4: four, 6: six };
}
