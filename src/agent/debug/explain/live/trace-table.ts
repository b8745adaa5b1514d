/**
 * The table that marks packets of one connection, both ways, and shows where they pass. Pure.
 *
 * Chains with rules are first at their hook; those without have no other purpose than that the kernel
 * reports their end, with the packet as it is there. Where the reports of a packet end is where it ended.
 */
import { type IP, ipFamily } from '../../../../net/ip.ts';
import { ipBytes, portBytes, protocolBytes, u8Bytes } from '../../../../nftables/bytes.ts';
import type { BaseChain, Chain, Rule, Table } from '../../../../nftables/model.ts';
import { ct, ip, ip6, meta, th } from '../../../../nftables/selectors.ts';
import { jump, match, matchBits, type Statement, trace } from '../../../../nftables/statements.ts';
import type { TraceEvent } from '../../../../nftables/trace.ts';
import { Transaction } from '../../../../nftables/transaction.ts';
import type { Packet } from '../../../../proxy/verdict/explanation.ts';

export const TRACE_TABLE_PREFIX = 'weft-trace-';

/** In front of everything else, behind connection tracking (-200), and behind everything else. */
const FIRST = -350;
const TRACKED = -199;
const LAST = 350;
/** enum ip_conntrack_dir and ct state bits (nf_conntrack_common.h). */
const REPLY = 1;
const STATE_NEW = 8;

/** The chains, with hook and priority; a packet passes them in an order that its way decides. */
const TRACE_CHAINS = {
  'weft-trace-in': ['prerouting', FIRST],
  'weft-trace-tracked': ['prerouting', TRACKED],
  'weft-trace-out': ['output', FIRST],
  'weft-trace-out-tracked': ['output', TRACKED],
  'weft-trace-out-end': ['output', LAST],
  'weft-trace-input': ['input', FIRST],
  'weft-trace-delivered': ['input', LAST],
  'weft-trace-forward': ['forward', FIRST],
  'weft-trace-forwarded': ['forward', LAST],
  'weft-trace-leaving': ['postrouting', FIRST],
  'weft-trace-sent': ['postrouting', LAST],
} as const satisfies Readonly<Record<string, readonly [BaseChain['hook'], number]>>;

export type TraceChain = keyof typeof TRACE_CHAINS;

/** Where a jump says that the packet begins a connection. */
export const NEW_CHAIN = 'weft-trace-new';

/** Of the table of family bridge. */
export type BridgeChain = 'weft-trace-bridge-in' | 'weft-trace-bridge-sent';

export function isTraceChain(name: string): name is TraceChain {
  return name in TRACE_CHAINS;
}

/** What happened to one packet, and to what came back for it. */
export interface Traced {
  readonly request: readonly TraceEvent[];
  readonly reply: readonly TraceEvent[];
}

/** Where nothing more of the packet is to be expected; undefined while something is. */
export function endOfTrace(events: readonly TraceEvent[]): TraceEvent | undefined {
  // What br_netfilter shows to the rules of IP leaves the bridge behind them.
  const isShown = events.some(({ chain, table }) => isOurs(table) && isTraceChain(chain));
  return events.find(({ table, chain, verdict }) => {
    if (verdict === 'drop') return true;
    if (!isOurs(table)) return false;
    const isOfBridge = chain === 'weft-trace-bridge-sent' && !isShown;
    return isOfBridge || chain === 'weft-trace-delivered' || chain === 'weft-trace-sent';
  });
}

function isOurs(table: string): boolean {
  return table.startsWith(TRACE_TABLE_PREFIX);
}

/** Answers whose way in front of connection tracking can be told: those that no one translates. */
export interface TracedPlace {
  readonly ip: IP;
  readonly port: number;
  readonly isMasqueraded: boolean;
}

export function traceTables(
  packet: Packet,
  places: readonly TracedPlace[],
  name: string,
): readonly Transaction[] {
  const family = ipFamily(packet.source) === 4 ? 'ip' : 'ip6';
  return [
    tableOf({ family, name, isOwned: true }, traceChains(packet, places)),
    tableOf({ family: 'bridge', name, isOwned: true }, bridgeChains(packet, places)),
  ];
}

function tableOf(table: Table, chains: readonly Chain[]): Transaction {
  const transaction = new Transaction(table).addTable({ isExclusive: true });
  for (const chain of chains) transaction.addChain(chain);
  return transaction;
}

/** From port to port of a bridge nothing else need see a packet. */
function bridgeChains(packet: Packet, places: readonly TracedPlace[]): readonly Chain[] {
  const chain = (name: BridgeChain, hook: BaseChain['hook'], rules: readonly Rule[]): Chain => {
    const priority = rules.length > 0 ? FIRST : LAST;
    return { name, base: { type: 'filter', hook, priority }, rules };
  };
  return [
    chain('weft-trace-bridge-in', 'prerouting', markingRules(packet, places)),
    chain('weft-trace-bridge-sent', 'postrouting', []),
  ];
}

function markingRules(packet: Packet, places: readonly TracedPlace[]): readonly Rule[] {
  return [requestRule(packet), ...places.flatMap((place) => replyRule(packet, place))];
}

function traceChains(packet: Packet, places: readonly TracedPlace[]): readonly Chain[] {
  const marking = markingRules(packet, places);
  const news: Rule = { statements: [matchBits(ct.state, STATE_NEW, '!=', 0), jump(NEW_CHAIN)] };
  const tracked = [trackedReplyRule(packet), news];
  const rules: Readonly<Partial<Record<string, readonly Rule[]>>> = {
    'weft-trace-in': marking,
    'weft-trace-out': marking,
    'weft-trace-tracked': tracked,
    'weft-trace-out-tracked': tracked,
  };
  const chains = Object.entries(TRACE_CHAINS).map(([name, [hook, priority]]): Chain => {
    return { name, base: { type: 'filter', hook, priority }, rules: rules[name] ?? [] };
  });
  return [{ name: NEW_CHAIN, rules: [] }, ...chains];
}

function requestRule({ source, destination, protocol, port }: Packet): Rule {
  const { saddr, daddr } = selectorsOf(source);
  return {
    statements: [
      match(saddr, '==', ipBytes(source)),
      match(daddr, '==', ipBytes(destination)),
      ...ofPort(protocol, 'dport', port),
      trace,
    ],
  };
}

function replyRule(
  { source, protocol }: Packet,
  { ip: server, port, isMasqueraded }: TracedPlace,
): readonly Rule[] {
  if (isMasqueraded) return [];
  const { saddr, daddr } = selectorsOf(source);
  return [
    {
      statements: [
        match(saddr, '==', ipBytes(server)),
        match(daddr, '==', ipBytes(source)),
        ...ofPort(protocol, 'sport', port),
        trace,
      ],
    },
  ];
}

/** Errors of ICMP belong to the connection that they are about. */
function trackedReplyRule({ source, destination, protocol, port }: Packet): Rule {
  const isV4 = ipFamily(source) === 4;
  return {
    statements: [
      match(ct.direction, '==', u8Bytes(REPLY)),
      match(isV4 ? ct.originalSaddr4 : ct.originalSaddr6, '==', ipBytes(source)),
      match(isV4 ? ct.originalDaddr4 : ct.originalDaddr6, '==', ipBytes(destination)),
      match(ct.protocol, '==', protocolBytes(protocol)),
      match(ct.originalDport, '==', portBytes(port)),
      trace,
    ],
  };
}

function selectorsOf(address: IP) {
  return ipFamily(address) === 4 ? ip : ip6;
}

function ofPort(
  protocol: Packet['protocol'],
  side: 'sport' | 'dport',
  port: number,
): readonly Statement[] {
  return [
    match(meta.l4proto, '==', protocolBytes(protocol)),
    match(th[side], '==', portBytes(port)),
  ];
}
