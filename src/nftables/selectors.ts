/**
 * Selectors: what a rule can load from a packet, its connection or a generator, one field each.
 * The same values describe the fields of set keys and map data.
 *
 * `length` is the size in bytes; in registers and elements a field is padded to a multiple of 4.
 * `datatype` is nft's own number for the type (its include/datatype.h), which nft stores with a
 * set and which the kernel does not interpret.
 */

interface Field {
  /** As nft writes it: `ip daddr`. */
  readonly text: string;
  readonly length: number;
  readonly isHostOrder: boolean;
  readonly datatype: number;
}

export interface PayloadSelector extends Field {
  readonly kind: 'payload';
  readonly base: 'link' | 'network' | 'transport';
  /** Bytes from the start of that header. */
  readonly offset: number;
  /** nft's numbers for the header and its field, for `typeof` (its src/proto.c). */
  readonly header: number;
  readonly headerField: number;
}

export interface MetaSelector extends Field {
  readonly kind: 'meta';
  /** enum nft_meta_keys */
  readonly key: number;
}

export interface CtSelector extends Field {
  readonly kind: 'ct';
  /** enum nft_ct_keys */
  readonly key: number;
  /** Of which of the connection's tuples. */
  readonly tuple: 'original' | 'reply' | undefined;
}

export interface FibSelector extends Field {
  readonly kind: 'fib';
  /** enum nft_fib_flags */
  readonly flags: number;
}

export interface NumgenSelector extends Field {
  readonly kind: 'numgen';
  /** Values are `offset` to `offset + modulus - 1`. */
  readonly modulus: number;
  readonly offset: number;
}

export interface HashSelector extends Field {
  readonly kind: 'hash';
  readonly selectors: readonly Selector[];
  readonly modulus: number;
  readonly offset: number;
  /** Undefined: the kernel draws one when the rule is made. */
  readonly seed: number | undefined;
}

/** Loads one field into registers. */
export type Selector =
  | PayloadSelector
  | MetaSelector
  | CtSelector
  | FibSelector
  | NumgenSelector
  | HashSelector;

/** nft's own numbers of types. */
export const TYPE = {
  integer: 4,
  nfproto: 2,
  ipv4: 7,
  ipv6: 8,
  etherAddress: 9,
  etherType: 10,
  protocol: 12,
  service: 13,
  icmpType: 14,
  tcpFlags: 15,
  mark: 19,
  ifindex: 20,
  ctState: 26,
  ctDirection: 27,
  ctStatus: 28,
  icmpv6Type: 29,
  fibAddressType: 38,
  ifname: 41,
} as const;

const HEADER = {
  ...{ icmp: 4, tcp: 8, transport: 11, icmpv6: 14 },
  ...{ ip: 12, ip6: 13, arp: 15, ether: 17 },
} as const;

function address(
  family: 'ip' | 'ip6',
  name: string,
  offset: number,
  headerField: number,
): PayloadSelector {
  const isV4 = family === 'ip';
  return {
    kind: 'payload',
    text: `${family} ${name}`,
    length: isV4 ? 4 : 16,
    isHostOrder: false,
    datatype: isV4 ? TYPE.ipv4 : TYPE.ipv6,
    base: 'network',
    offset,
    header: HEADER[family],
    headerField,
  };
}

function port(name: string, offset: number, headerField: number): PayloadSelector {
  return {
    kind: 'payload',
    text: `th ${name}`,
    length: 2,
    isHostOrder: false,
    datatype: TYPE.service,
    base: 'transport',
    offset,
    header: HEADER.transport,
    headerField,
  };
}

function byteField(
  text: string,
  base: PayloadSelector['base'],
  offset: number,
  names: Pick<PayloadSelector, 'datatype' | 'header' | 'headerField'>,
): PayloadSelector {
  return { kind: 'payload', text, length: 1, isHostOrder: false, base, offset, ...names };
}

function metaKey(
  text: string,
  key: number,
  length: number,
  datatype: number,
  isHostOrder = false,
): MetaSelector {
  return { kind: 'meta', text, length, isHostOrder, datatype, key };
}

function ctKey(text: string, key: number, length: number, datatype: number): CtSelector {
  const [, word] = text.split(' ');
  const tuple = word === 'original' || word === 'reply' ? word : undefined;
  return { kind: 'ct', text, length, isHostOrder: tuple === undefined, datatype, key, tuple };
}

function fibType(text: string, flags: number): FibSelector {
  return { kind: 'fib', text, length: 4, isHostOrder: true, datatype: TYPE.fibAddressType, flags };
}

/** Ethernet header fields: in families `bridge` and `netdev`, and of packets that came in by such a link. */
export const ether = {
  saddr: {
    kind: 'payload',
    text: 'ether saddr',
    length: 6,
    isHostOrder: false,
    datatype: TYPE.etherAddress,
    base: 'link',
    offset: 6,
    header: HEADER.ether,
    headerField: 2,
  },
  /** Of a tagged frame that of the tag (nft_payload_copy_vlan), whatever is behind it. */
  type: {
    kind: 'payload',
    text: 'ether type',
    length: 2,
    isHostOrder: false,
    datatype: TYPE.etherType,
    base: 'link',
    offset: 12,
    header: HEADER.ether,
    headerField: 3,
  },
} as const satisfies Readonly<Record<string, PayloadSelector>>;

/** Fields of ARP for IPv4 on Ethernet; match `ether.type` first. */
export const arp = {
  senderMac: {
    ...ether.saddr,
    text: 'arp saddr ether',
    base: 'network',
    offset: 8,
    header: HEADER.arp,
    headerField: 6,
  },
  senderIP: {
    ...address('ip', 'saddr', 14, 7),
    text: 'arp saddr ip',
    header: HEADER.arp,
  },
} as const satisfies Readonly<Record<string, PayloadSelector>>;

/** IPv4 header fields; in an `inet` table match `meta.nfproto` first. */
export const ip = {
  saddr: address('ip', 'saddr', 12, 11),
  daddr: address('ip', 'daddr', 16, 12),
} as const;

/** IPv6 header fields; in an `inet` table match `meta.nfproto` first. */
export const ip6 = {
  saddr: address('ip6', 'saddr', 8, 8),
  daddr: address('ip6', 'daddr', 24, 9),
  hoplimit: byteField('ip6 hoplimit', 'network', 7, {
    datatype: TYPE.integer,
    header: HEADER.ip6,
    headerField: 7,
  }),
} as const satisfies Readonly<Record<string, PayloadSelector>>;

/** Ports of TCP, UDP and SCTP alike; the rule does not match when the packet has no such header. */
export const th = {
  sport: port('sport', 0, 1),
  dport: port('dport', 2, 2),
} as const;

/** TCP header fields; match `meta.l4proto` first. Flags: 2 is SYN. */
export const tcp = {
  flags: byteField('tcp flags', 'transport', 13, {
    datatype: TYPE.tcpFlags,
    header: HEADER.tcp,
    headerField: 7,
  }),
} as const satisfies Readonly<Record<string, PayloadSelector>>;

/** ICMP header fields; match `meta.l4proto` first. */
export const icmp = {
  type: byteField('icmp type', 'transport', 0, {
    datatype: TYPE.icmpType,
    header: HEADER.icmp,
    headerField: 1,
  }),
} as const satisfies Readonly<Record<string, PayloadSelector>>;

/** ICMPv6 header fields; match `meta.l4proto` first. */
export const icmpv6 = {
  type: byteField('icmpv6 type', 'transport', 0, {
    datatype: TYPE.icmpv6Type,
    header: HEADER.icmpv6,
    headerField: 1,
  }),
  /** The address that a neighbour solicitation is about (RFC 4861); nft 1.0.6 has no name for it. */
  target: { ...port('target', 8, 0), text: '@th,64,128', length: 16, datatype: TYPE.ipv6 },
} as const satisfies Readonly<Record<string, PayloadSelector>>;

/** What the kernel knows of the packet besides its bytes. */
export const meta = {
  l4proto: metaKey('meta l4proto', 16, 1, TYPE.protocol),
  /** 2 for IPv4, 10 for IPv6. */
  nfproto: metaKey('meta nfproto', 15, 1, TYPE.nfproto),
  /** 0 where the packet did not come in by an interface, or the hook does not know. */
  iif: metaKey('iif', 4, 4, TYPE.ifindex, true),
  iifname: metaKey('iifname', 6, 16, TYPE.ifname, true),
  oifname: metaKey('oifname', 7, 16, TYPE.ifname, true),
  mark: metaKey('meta mark', 3, 4, TYPE.mark, true),
} as const;

/**
 * Connection tracking. The original tuple is what the first packet looked like before DNAT, the reply
 * tuple what answers look like: its source is who answers.
 */
export const ct = {
  /** Bits: 1 invalid, 2 established, 4 related, 8 new, 64 untracked. */
  state: ctKey('ct state', 0, 4, TYPE.ctState),
  /** 0: a packet of who began; 1: one of who answers. */
  direction: ctKey('ct direction', 1, 1, TYPE.ctDirection),
  /** enum ip_conntrack_status; 0x10 snat, 0x20 dnat. */
  status: ctKey('ct status', 2, 4, TYPE.ctStatus),
  originalSaddr4: ctKey('ct original ip saddr', 19, 4, TYPE.ipv4),
  originalDaddr4: ctKey('ct original ip daddr', 20, 4, TYPE.ipv4),
  originalSaddr6: ctKey('ct original ip6 saddr', 21, 16, TYPE.ipv6),
  originalDaddr6: ctKey('ct original ip6 daddr', 22, 16, TYPE.ipv6),
  originalDport: ctKey('ct original proto-dst', 12, 2, TYPE.service),
  replySaddr4: ctKey('ct reply ip saddr', 19, 4, TYPE.ipv4),
  replySaddr6: ctKey('ct reply ip6 saddr', 21, 16, TYPE.ipv6),
  replySport: ctKey('ct reply proto-src', 11, 2, TYPE.service),
  protocol: ctKey('ct original protocol', 10, 1, TYPE.protocol),
  mark: ctKey('ct mark', 3, 4, TYPE.mark),
} as const;

/** Type of an address in the routing table, enum of rtnetlink.h: 2 local, 3 broadcast. */
export const fib = {
  saddrType: fibType('fib saddr type', 1),
  daddrType: fibType('fib daddr type', 2),
} as const;
