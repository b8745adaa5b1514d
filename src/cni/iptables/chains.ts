/** Chains in table `nat` of iptables that belong to one container on one network. */
import { type ListedTable, parseListing, targetOf } from '../../iptables/listing.ts';
import { tableText } from '../../iptables/restore-text.ts';
import { type IP, parseIP } from '../../net/ip.ts';
import { sha512 } from '../../util/sha512.ts';
import type { Attachment } from '../attachment.ts';

type Owner = Pick<Attachment, 'network' | 'containerId'>;

/** Length of the reference's chain names (maxChainLength of its pkg/utils). */
const CHAIN_BYTES = 28;

/** The reference bridge's chain of masquerade rules (utils.FormatChainName). */
export function masqueradeChain(owner: Owner): string {
  return chainName('', owner);
}

/** The chain of the reference's portmap with a container's ports. */
export function hostPortChain(owner: Owner): string {
  return chainName('DN-', owner);
}

/** Chains of the reference's portmap: that of every release, and one of releases before 0.7. */
export function hostPortChains(owner: Owner): readonly string[] {
  return [hostPortChain(owner), chainName('SN-', owner)];
}

/** Whether a chain has the name of some container's masquerade rules. */
export function isMasqueradeChain(name: string): boolean {
  return /^CNI-[0-9a-f]{24}$/.test(name);
}

function chainName(prefix: string, { network, containerId }: Owner): string {
  return `CNI-${prefix}${sha512(`${network}${containerId}`)}`.slice(0, CHAIN_BYTES);
}

/** A rule and the address that its packets come from, when it is for one. */
interface Way {
  readonly chain: string;
  readonly rule: string;
  readonly source: IP | undefined;
}

/**
 * What iptables-restore is told to remove the chains with everything that leads to them; undefined
 * when none of them is there. A chain that is led to from a kept address stays, with the way from
 * there: a second interface of the container uses the same one. Pure.
 */
export function removalOf(
  saved: string,
  chains: readonly string[],
  kept: ReadonlySet<IP> = new Set(),
): string | undefined {
  const { nat } = parseListing(saved);
  const isKept = ({ source }: Way) => source !== undefined && kept.has(source);
  const lines = chains.flatMap((chain) => {
    if (!nat.has(chain)) return [];
    const ways = waysTo(chain, nat);
    const removed = ways.filter((way) => !isKept(way)).map((way) => `-D ${way.chain} ${way.rule}`);
    return removed.length < ways.length ? removed : [...removed, `-F ${chain}`, `-X ${chain}`];
  });
  return lines.length === 0 ? undefined : tableText('nat', lines);
}

function waysTo(target: string, table: ListedTable): readonly Way[] {
  return [...table].flatMap(([chain, rules]) =>
    rules
      .filter((rule) => targetOf(rule) === target)
      .map((rule) => ({ chain, rule, source: sourceOf(rule) })),
  );
}

function sourceOf(rule: string): IP | undefined {
  const source = /^-s ([^ /]+)\/(?:32|128) /.exec(rule)?.[1];
  return source === undefined ? undefined : parseIP(source);
}
