/** Extensions of iptables inside of nf_tables rules (iptables-nft), as far as others' rules are looked at. */
import { readString } from '../netlink/attributes.ts';
import { XT_MATCH } from './constants.ts';
import { STATE_NEW } from './decode-ct.ts';
import type { NatAction, NatCondition } from './nat-rule.ts';

/** struct xt_conntrack_mtinfo3 (include/uapi/linux/netfilter/xt_conntrack.h). */
const CONNTRACK = { flags: 148, invertedFlags: 150, states: 152, bytes: 154 } as const;
const XT_CONNTRACK_STATE = 1;

const TARGETS: Readonly<Record<string, NatAction['kind'] & ('masquerade' | 'accept' | 'drop')>> = {
  MASQUERADE: 'masquerade',
  SNAT: 'masquerade',
  NETMAP: 'masquerade',
  DNAT: 'accept',
  REDIRECT: 'accept',
  REJECT: 'drop',
};
/** They are met by a part of what anybody sends. */
const PARTS: readonly string[] = ['tcp', 'udp', 'sctp', 'multiport', 'icmp', 'icmp6'];

/** Of an expression `match` or `target`. */
export function extensionName(data: ReadonlyMap<number, Buffer>): string {
  const name = data.get(XT_MATCH.NAME);
  return name === undefined ? '' : readString(name);
}

/** Targets that packets go on behind, a log or a mark, are none. */
export function actionOfTarget(name: string): NatAction {
  return { kind: TARGETS[name] ?? 'none' };
}

/** None for what says nothing about packets. */
export function conditionsOfMatch(
  name: string,
  content: Buffer | undefined,
): readonly NatCondition[] {
  if (name === 'comment') return [];
  if (PARTS.includes(name)) return [{ kind: 'part' }];
  if (name === 'conntrack' && content !== undefined && content.length >= CONNTRACK.bytes) {
    const isOnlyState = content.readUInt16LE(CONNTRACK.flags) === XT_CONNTRACK_STATE;
    const isInverted = (content.readUInt16LE(CONNTRACK.invertedFlags) & XT_CONNTRACK_STATE) !== 0;
    const isNew = (content.readUInt16LE(CONNTRACK.states) & STATE_NEW) !== 0;
    if (isOnlyState) return [{ kind: 'state', isNew: isNew !== isInverted }];
  }
  return [{ kind: 'unknown' }];
}
