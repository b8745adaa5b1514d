/** Pods whose addresses firewalld has in a zone, in place of rules of iptables. */
import type { IP } from '../../net/ip.ts';
import { hasTable } from '../../nftables/absence.ts';
import { IoError } from '../../util/errors.ts';
import { type Attachment, attachmentKey } from '../attachment.ts';
import type { Firewalld } from '../node.ts';
import { type CniNode, type Nftables, withNftables } from '../node.ts';
import { type FirewallConfig, parseFirewallConfig } from './config.ts';

/** An attachment's addresses in a zone. */
export interface ZoneSources {
  readonly attachment: Attachment;
  readonly zone: string;
  readonly addresses: readonly IP[];
}

type Tables = Pick<Nftables, 'tables' | 'hasChain'>;

/** What firewalld has its rules in, by its own back end: a table, or chains of iptables-nft. */
const TABLE = { family: 'inet', name: 'firewalld' } as const;
const FILTER_TABLE = { family: 'ip', name: 'filter' } as const;
const FILTER_CHAIN = 'FORWARD_direct';

/**
 * The zone that takes a pod's addresses; undefined where its packets need rules of iptables. As the
 * reference decides: firewalld where that is named, or nothing is and firewalld runs.
 */
export function zoneOf(
  { backend, zone }: FirewallConfig,
  { kernel: { firewalld } }: CniNode,
  nft: Tables,
): string | undefined {
  if (backend === 'firewalld') return zone;
  if (backend === 'iptables' || firewalld === undefined) return undefined;
  return hasFirewalldRules(nft) && firewalld.isRunning() ? zone : undefined;
}

export function joinZone(node: CniNode, { zone, addresses }: ZoneSources): void {
  const firewalld = requireFirewalld(node);
  for (const address of addresses) firewalld.addSource(zone, address);
}

/** Addresses that another attachment has by now stay. Without firewalld nothing is left to remove. */
export function leaveZone(node: CniNode, { attachment, zone, addresses }: ZoneSources): void {
  const { firewalld } = node.kernel;
  if (firewalld?.isRunning() !== true) return;
  const key = attachmentKey(attachment);
  const kept = (node.records?.list() ?? []).flatMap(({ attachment: other, forwarded }) => {
    const isOwn = attachmentKey(other) === key || forwarded?.isLeaving === true;
    return !isOwn && forwarded?.zone === zone ? (forwarded.addresses ?? []) : [];
  });
  for (const address of addresses) {
    if (!kept.includes(address)) firewalld.removeSource(zone, address);
  }
}

/** Throws when the zone lacks an address. */
export function requireInZone(node: CniNode, { zone, addresses }: ZoneSources): void {
  const firewalld = requireFirewalld(node);
  const missing = addresses.find((address) => !firewalld.hasSource(zone, address));
  if (missing !== undefined) throw new Error(`zone ${zone} of firewalld lacks ${missing}`);
}

/** Whether a call asks firewalld, or would have to find out. Executes nothing. */
export function mayAskFirewalld(config: Readonly<Record<string, unknown>>, node: CniNode): boolean {
  const firewall = readConfig(config);
  if (firewall === undefined || firewall.backend === 'iptables') return false;
  if (firewall.backend === 'firewalld') return true;
  let hasRules = false;
  withNftables(node.kernel, (nft) => {
    hasRules = hasFirewalldRules(nft);
  });
  return hasRules;
}

/** Undefined also for a wrong one: whoever is asked says what is wrong. */
export function readConfig(config: Readonly<Record<string, unknown>>): FirewallConfig | undefined {
  try {
    return parseFirewallConfig(config);
  } catch {
    return undefined;
  }
}

function requireFirewalld({ kernel: { firewalld } }: CniNode): Firewalld {
  if (firewalld !== undefined) return firewalld;
  throw new IoError('backend "firewalld": programs cannot be executed here');
}

function hasFirewalldRules(nft: Tables): boolean {
  if (hasTable(nft, TABLE)) return true;
  return hasTable(nft, FILTER_TABLE) && nft.hasChain(FILTER_TABLE, FILTER_CHAIN);
}
