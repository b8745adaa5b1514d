/**
 * Rules and sets of table `bridge weft-spoof`, which looks at what enters by ports of pods before the bridge
 * learns from it. The rules are constant; whom a port may send as is elements.
 */
import { type IPFamily, parseIP } from '../../net/ip.ts';
import { etherTypeBytes, ipBytes, u8Bytes } from '../../nftables/bytes.ts';
import { HOOK_PRIORITY } from '../../nftables/hook-priorities.ts';
import type { Chain, NamedSet, Rule } from '../../nftables/model.ts';
import {
  arp,
  ether,
  icmpv6,
  ip,
  ip6,
  meta,
  type PayloadSelector,
  type Selector,
} from '../../nftables/selectors.ts';
import {
  accept,
  counter,
  drop,
  goTo,
  lookup,
  match,
  type Statement,
} from '../../nftables/statements.ts';

/** Ports whose senders are looked at. */
export const GUARDED_PORTS: NamedSet = { name: 'guarded-ports', key: [meta.iifname] };

/** `port . hardware address` pairs that may pass. */
export const ALLOWED_SENDERS: NamedSet = {
  name: 'allowed-senders',
  key: [meta.iifname, ether.saddr],
};

/** Guarded ports whose pods send as nobody but themselves. */
export const TIED_PORTS: NamedSet = { name: 'tied-ports', key: [meta.iifname] };

/** `port . hardware address . address`, link-local ones among them. */
export const SENDER_ADDRESSES: Readonly<Record<IPFamily, NamedSet>> = {
  4: { name: 'sender-addresses-ip', key: senderKey(ip.saddr) },
  6: { name: 'sender-addresses-ip6', key: senderKey(ip6.saddr) },
};

const ICMPV6 = 58;
/** RFC 4861; reports of group members RFC 2710 and RFC 3810. */
const ICMPV6_TYPE = {
  ...{ routerAdvertisement: 134, neighbourSolicitation: 135, neighbourAdvertisement: 136 },
  ...{ redirect: 137, membersReport: 131, membersReport2: 143 },
} as const;
/** What may be sent before there is an address. */
const ADDRESSLESS_TYPES = [
  ICMPV6_TYPE.neighbourSolicitation,
  ICMPV6_TYPE.membersReport,
  ICMPV6_TYPE.membersReport2,
];
const UNSPECIFIED = { 4: ipBytes(parseIP('0.0.0.0')), 6: ipBytes(parseIP('::')) } as const;

const isARP = match(ether.type, '==', etherTypeBytes(0x0806));
const isIPv4 = match(ether.type, '==', etherTypeBytes(0x0800));
const isIPv6 = match(ether.type, '==', etherTypeBytes(0x86dd));

/** What an honest pod sends is known after one look; only the rest is looked at more closely. */
const PREROUTING: Chain = {
  name: 'prerouting',
  base: { type: 'filter', hook: 'prerouting', priority: HOOK_PRIORITY.bridgedDestinationNat },
  rules: [
    rule(isIPv4, isSender(4, ip.saddr), accept),
    rule(isIPv6, match(meta.l4proto, '!=', u8Bytes(ICMPV6)), isSender(6, ip6.saddr), accept),
    rule(
      lookup(GUARDED_PORTS.key, GUARDED_PORTS.name),
      lookup(ALLOWED_SENDERS.key, ALLOWED_SENDERS.name, { isNegated: true }),
      drop,
    ),
    rule(lookup(TIED_PORTS.key, TIED_PORTS.name), goTo('tied')),
  ],
};

/**
 * Of what has no address yet only what asks whether one is free (RFC 5227, RFC 4862) and joins groups. No pod is
 * a router. Whatever else there is goes: with a tag of a VLAN, the kernel may take a packet by the hooks that
 * look at packets, and what is behind a second tag is not read here.
 */
const TIED: Chain = {
  name: 'tied',
  rules: [
    rule(
      isARP,
      isSender(4, arp.senderIP),
      lookup([meta.iifname, arp.senderMac, arp.senderIP], SENDER_ADDRESSES[4].name),
      accept,
    ),
    rule(isARP, match(arp.senderIP, '==', UNSPECIFIED[4]), accept),
    rule(...isICMPv6(ICMPV6_TYPE.neighbourAdvertisement), isSender(6, icmpv6.target, true), drop),
    rule(...isICMPv6(ICMPV6_TYPE.routerAdvertisement), drop),
    rule(...isICMPv6(ICMPV6_TYPE.redirect), drop),
    rule(isIPv6, isSender(6, ip6.saddr), accept),
    ...ADDRESSLESS_TYPES.map((type) =>
      rule(...isICMPv6(type), match(ip6.saddr, '==', UNSPECIFIED[6]), accept),
    ),
    rule(counter(), drop),
  ],
};

export const SPOOF_CHAINS: readonly Chain[] = [TIED, PREROUTING];

function rule(...statements: readonly Statement[]): Rule {
  return { statements };
}

/** Whether port, sender of the frame and this field are one. */
function isSender(family: IPFamily, address: PayloadSelector, isNegated = false): Statement {
  return lookup(senderKey(address), SENDER_ADDRESSES[family].name, { isNegated });
}

function isICMPv6(type: number): readonly Statement[] {
  return [
    isIPv6,
    match(meta.l4proto, '==', u8Bytes(ICMPV6)),
    match(icmpv6.type, '==', u8Bytes(type)),
  ];
}

function senderKey(address: PayloadSelector): readonly Selector[] {
  return [meta.iifname, ether.saddr, address];
}
