/** Chains in table `nat` of iptables that belong to one container on one network. */
import type { IP } from '../../net/ip.ts';
import { parseIP } from '../../net/ip.ts';
import { sha512 } from '../../util/sha512.ts';
import type { Attachment } from '../attachment.ts';

type Owner = Pick<Attachment, 'network' | 'containerId'>;

/** Length of the reference's chain names (maxChainLength of its pkg/utils). */
const chainBytes = 28;

/** The reference bridge's chain of masquerade rules (utils.FormatChainName). */
export function masqueradeChain(owner: Owner): string {
  return chainName('', owner);
}

/** Chains of the reference's portmap: that of every release, and one of releases before 0.7. */
export function hostPortChains(owner: Owner): readonly string[] {
  return [chainName('DN-', owner), chainName('SN-', owner)];
}

/** Whether a chain has the name of some container's masquerade rules. */
export function isMasqueradeChain(name: string): boolean {
  return /^CNI-[0-9a-f]{24}$/.test(name);
}

function chainName(prefix: string, { network, containerId }: Owner): string {
  return `CNI-${prefix}${sha512(`${network}${containerId}`)}`.slice(0, chainBytes);
}

/** A rule as iptables-save prints it. */
interface SavedRule {
  readonly text: string;
  /** The chain it leads to. */
  readonly target: string;
  /** When the rule is for packets from one address. */
  readonly source?: IP;
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
  const rules = saved.split('\n').flatMap(parseRule);
  const present = chains.filter((chain) => saved.includes(`\n:${chain} `));
  const lines = present.flatMap((chain) => {
    const jumps = rules.filter(({ target }) => target === chain);
    const isKept = ({ source }: SavedRule) => source !== undefined && kept.has(source);
    const removed = jumps.filter((jump) => !isKept(jump)).map(({ text }) => `-D ${text.slice(3)}`);
    return removed.length < jumps.length ? removed : [...removed, `-F ${chain}`, `-X ${chain}`];
  });
  return lines.length === 0 ? undefined : restoreText(lines);
}

/** Lines for table `nat`. */
export function restoreText(lines: readonly string[]): string {
  return ['*nat', ...lines, 'COMMIT', ''].join('\n');
}

/** The way to another chain ends a rule; whatever a comment says stands in quotes. */
function parseRule(text: string): readonly SavedRule[] {
  const pattern = /^-A \S+ (?:-s (?<source>[^ /]+)\/(?:32|128) )?(?:.* )?-j (?<target>\S+)$/;
  const { target, source } = pattern.exec(text)?.groups ?? {};
  if (target === undefined) return [];
  return [{ text, target, ...(source === undefined ? {} : { source: parseIP(source) }) }];
}
