/** Comparisons of what connection tracking knows of a packet, by those that nobody has translated. */
import type { NatCondition } from './nat-rule.ts';

/** NF_CT_STATE_BIT(IP_CT_NEW): of `ct state`, and of the match conntrack of iptables. */
export const STATE_NEW = 8;
/** IPS_SRC_NAT, IPS_DST_NAT */
const TRANSLATED = 0x30;

/** `ct state established,related` is a mask, and a comparison with 0 turned round. */
export function stateCondition(
  mask: Buffer | undefined,
  value: Buffer,
  isNegated: boolean,
): NatCondition {
  if (mask === undefined)
    return { kind: 'state', isNew: (value.readUInt32LE(0) === STATE_NEW) !== isNegated };
  if (value.some((byte) => byte !== 0)) return { kind: 'unknown' };
  return { kind: 'state', isNew: ((mask.readUInt32LE(0) & STATE_NEW) !== 0) === isNegated };
}

/** `ct status dnat`: what is asked about are packets that nobody has translated. */
export function statusCondition(
  mask: Buffer | undefined,
  value: Buffer,
  isNegated: boolean,
): NatCondition {
  const bits = mask?.readUInt32LE(0) ?? 0;
  const isOfNat = bits !== 0 && (bits & ~TRANSLATED) === 0 && value.every((byte) => byte === 0);
  return isOfNat ? { kind: 'state', isNew: !isNegated } : { kind: 'unknown' };
}
