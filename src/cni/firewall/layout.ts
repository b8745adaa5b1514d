/**
 * What is added to the tables of iptables-nft, in rules that iptables prints and saves as its own:
 *
 *     -A FORWARD -j WEFT-FORWARD                                       in front of everything
 *     -A WEFT-FORWARD -j CNI-ADMIN                                     the administrator's chain
 *     -A WEFT-FORWARD -s <subnet> -j ACCEPT                            one pair per network and subnet
 *     -A WEFT-FORWARD -d <subnet> -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
 *
 * An accepting chain in a table of our own would not do: a packet that one table accepts is still
 * dropped by the next. Comments tell our rules from others', also after iptables-restore.
 */
import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { Rule, Table } from '../../nftables/model.ts';
import { ip, ip6 } from '../../nftables/selectors.ts';
import { accept, counter, jump, matchCidr, xtMatch } from '../../nftables/statements.ts';
import { sha256 } from '../../util/sha256.ts';

export const filterTables: Readonly<Record<IPFamily, Table>> = {
  4: { family: 'ip', name: 'filter' },
  6: { family: 'ip6', name: 'filter' },
};

/** The base chain of iptables that we jump from. */
export const forwardChain = 'FORWARD';
export const weftChain = 'WEFT-FORWARD';

/** Its comment finds a rule again. */
export interface CommentedRule extends Rule {
  readonly comment: string;
}

const source = { 4: ip.saddr, 6: ip6.saddr } as const;
const destination = { 4: ip.daddr, 6: ip6.daddr } as const;

/** Longest part of a network's name in a comment, which has 127 bytes, up to 55 of them others. */
const maxNetworkBytes = 64;

/** struct xt_conntrack_mtinfo3: 8 addresses, 2 times, 9 numbers of 16 bits, then what is matched. */
const conntrackFlagsOffset = 146;
const conntrackBytes = 164;
const XT_CONNTRACK_STATE = 1;
/** XT_CONNTRACK_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED. */
const relatedOrEstablished = 0x2 | 0x4;

/** From the base chain; found by where it leads. */
export const entryRule: Rule = { statements: [counter(), jump(weftChain)] };

/** The administrator's chain is asked first, as by the reference. */
export function adminRule(chain: string): Rule {
  return { statements: [counter(), jump(chain)] };
}

/** What lets packets of a subnet pass: everything its pods send, and the answers to it. */
export function subnetRules(network: string, subnet: Cidr): readonly CommentedRule[] {
  const family = cidrFamily(subnet);
  const prefix = commentPrefix(network);
  return [
    commented(`${prefix}from ${subnet}`, [
      matchCidr(source[family], '==', subnet),
      counter(),
      accept,
    ]),
    commented(`${prefix}to ${subnet}`, [
      matchCidr(destination[family], '==', subnet),
      xtMatch('conntrack', 3, conntrackState(relatedOrEstablished)),
      counter(),
      accept,
    ]),
  ];
}

/** How the comments of a network's rules begin. */
export function commentPrefix(network: string): string {
  return `weft ${shortened(network)}: `;
}

/** Whether a comment is that of a subnet's rule, of whatever network. */
export function isSubnetComment(comment: string | undefined): boolean {
  return comment !== undefined && /^weft [^ ]+: (from|to) /.test(comment);
}

/**
 * The comment is our own datum of the rule and not a match of its own: iptables prints both alike,
 * and writes a match when it restores them.
 */
function commented(comment: string, statements: Rule['statements']): CommentedRule {
  return { statements, comment };
}

function shortened(network: string): string {
  if (network.length <= maxNetworkBytes) return network;
  const digest = sha256(network).toString('hex').slice(0, 16);
  return `${network.slice(0, maxNetworkBytes - digest.length)}${digest}`;
}

function conntrackState(mask: number): string {
  const content = Buffer.alloc(conntrackBytes);
  content.writeUInt16LE(XT_CONNTRACK_STATE, conntrackFlagsOffset);
  content.writeUInt16LE(mask, conntrackFlagsOffset + 4);
  return content.toString('latin1');
}
