/**
 * What is added to the tables of iptables-nft, in rules that iptables prints and saves as its own:
 *
 *     -A FORWARD -j WEFT-FORWARD                                       in front of all but leading refusals
 *     -A WEFT-FORWARD -j CNI-ADMIN                                     the administrator's chain
 *     -A WEFT-FORWARD -s <address> -j ACCEPT                           one pair per address of a pod
 *     -A WEFT-FORWARD -d <address> -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
 *
 * Only the pod's own addresses: its network may be that of the node's neighbours, and whoever lets
 * that through makes the node their router.
 *
 * An accepting chain in a table of our own would not do: a packet that one table accepts is still
 * dropped by the next. Comments tell our rules from others', also after iptables-restore.
 */
import { hostCidr } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import type { Rule, Table } from '../../nftables/model.ts';
import { ip, ip6 } from '../../nftables/selectors.ts';
import { accept, counter, jump, matchCidr, xtMatch } from '../../nftables/statements.ts';
import { sha256 } from '../../util/sha256.ts';
import { type Attachment, attachmentKey } from '../attachment.ts';

export const FILTER_TABLES: Readonly<Record<IPFamily, Table>> = {
  4: { family: 'ip', name: 'filter' },
  6: { family: 'ip6', name: 'filter' },
};

/** The base chain of iptables that we jump from. */
export const FORWARD_CHAIN = 'FORWARD';
export const WEFT_CHAIN = 'WEFT-FORWARD';

/** Its comment finds a rule again. */
export interface CommentedRule extends Rule {
  readonly comment: string;
}

const SOURCE = { 4: ip.saddr, 6: ip6.saddr } as const;
const DESTINATION = { 4: ip.daddr, 6: ip6.daddr } as const;

/** Longest part of a network's name in a comment, which has 127 bytes, up to 75 of them others. */
const MAX_NETWORK_BYTES = 48;
/** Hexadecimal digits of an attachment's key in a comment. */
const OWNER_DIGITS = 20;

/** struct xt_conntrack_mtinfo3: 8 addresses, 2 times, 9 numbers of 16 bits, then what is matched. */
const CONNTRACK_FLAGS_OFFSET = 146;
const CONNTRACK_BYTES = 164;
const XT_CONNTRACK_STATE = 1;
/** XT_CONNTRACK_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED. */
const RELATED_OR_ESTABLISHED = 0x2 | 0x4;

/** From the base chain; found by where it leads. */
export const ENTRY_RULE: Rule = { statements: [counter(), jump(WEFT_CHAIN)] };

/** The administrator's chain is asked first, as by the reference. */
export function adminRule(chain: string): Rule {
  return { statements: [counter(), jump(chain)] };
}

/** What lets packets of a pod's address pass: everything it sends, and the answers to it. */
export function addressRules(owner: Attachment, address: IP): readonly CommentedRule[] {
  const family = ipFamily(address);
  const only = hostCidr(address);
  const { from, to } = commentsOf(owner, address);
  return [
    commented(from, [matchCidr(SOURCE[family], '==', only), counter(), accept]),
    commented(to, [
      matchCidr(DESTINATION[family], '==', only),
      xtMatch('conntrack', 3, conntrackState(RELATED_OR_ESTABLISHED)),
      counter(),
      accept,
    ]),
  ];
}

/** The comments of the rules for an address of an attachment. */
export function commentsOf(
  owner: Attachment,
  address: IP,
): { readonly from: string; readonly to: string } {
  const text = (direction: string) =>
    `${commentPrefix(owner.network)}${direction} ${address} ${ownerOf(owner)}`;
  return { from: text('from'), to: text('to') };
}

/** How the comments of a network's rules begin. */
export function commentPrefix(network: string): string {
  return `weft ${shortened(network)}: `;
}

/** How the comments of an attachment's rules end. */
export function ownerOf(owner: Attachment): string {
  return attachmentKey(owner).slice(0, OWNER_DIGITS);
}

/** What a comment says of its rule. */
export interface RuleComment {
  /** As `commentPrefix` gives it. */
  readonly prefix: string;
  /** As `ownerOf` gives it; absent in rules of releases that let a whole subnet through. */
  readonly owner?: string;
}

/** Undefined for comments that are not of a rule of ours. */
export function parseComment(comment: string | undefined): RuleComment | undefined {
  const pattern = /^(?<prefix>weft [^ ]+: )(?:from|to) [^ ]+(?: (?<owner>[0-9a-f]+))?$/;
  const { prefix, owner } = pattern.exec(comment ?? '')?.groups ?? {};
  if (prefix === undefined) return undefined;
  return owner === undefined ? { prefix } : { prefix, owner };
}

/**
 * The comment is our own datum of the rule and not a match of its own: iptables prints both alike,
 * and writes a match when it restores them.
 */
function commented(comment: string, statements: Rule['statements']): CommentedRule {
  return { statements, comment };
}

function shortened(network: string): string {
  if (network.length <= MAX_NETWORK_BYTES) return network;
  const digest = sha256(network).toString('hex').slice(0, 16);
  return `${network.slice(0, MAX_NETWORK_BYTES - digest.length)}${digest}`;
}

function conntrackState(mask: number): string {
  const content = Buffer.alloc(CONNTRACK_BYTES);
  content.writeUInt16LE(XT_CONNTRACK_STATE, CONNTRACK_FLAGS_OFFSET);
  content.writeUInt16LE(mask, CONNTRACK_FLAGS_OFFSET + 4);
  return content.toString('latin1');
}
