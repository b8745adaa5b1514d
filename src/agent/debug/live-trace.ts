import { ipFamily } from '../../net/ip.ts';
import { ipBytes, portBytes, protocolBytes } from '../../nftables/bytes.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import type { BaseChain, Chain, Table } from '../../nftables/model.ts';
import { ip, ip6, meta, th } from '../../nftables/selectors.ts';
import { match, type Statement, trace } from '../../nftables/statements.ts';
import { type TraceEvent, watchTraces } from '../../nftables/trace.ts';
import { Transaction } from '../../nftables/transaction.ts';
import type { Packet } from '../../proxy/verdict/explanation.ts';
import type { Clock } from '../../util/clock.ts';
import { TRACE_CHAIN, TRACE_TABLE_PREFIX } from './live-outcome.ts';
import { TraceFollower } from './trace-follower.ts';

export interface LiveTraceOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Aborted: nobody waits any more. */
  readonly signal: AbortSignal;
}

/** In front of everything else, and behind everything else: after defragmentation, after SNAT. */
const FIRST = -350;
const LAST = 350;
/** After its first event a packet has left the node, or is held somewhere for good. */
const PACKET_MS = 500;

let tablesMade = 0;

/**
 * Waits for the next packet from the source to the destination and port, and gives everything the
 * kernel reports of it; nothing when none came in time. For that time a table of ours marks such
 * packets. The connection owns it, so it is gone with this process, however that ends.
 */
export async function tracePacket(
  packet: Packet,
  { clock, timeoutMs, signal }: LiveTraceOptions,
): Promise<readonly TraceEvent[]> {
  const follower = new TraceFollower();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timers = [clock.schedule(timeoutMs, resolve)];
  const watch = watchTraces(undefined, (event) => {
    if (event === 'overflow') return;
    if (follower.events.length === 0) timers.push(clock.schedule(PACKET_MS, resolve));
    follower.add(event);
    if (follower.isComplete) resolve();
  });
  signal.addEventListener('abort', () => resolve(), { once: true });
  const connection = NftablesConnection.open();
  try {
    connection.commit(traceTable(packet));
    await promise;
  } finally {
    connection.close();
    watch.close();
    for (const cancel of timers) cancel();
  }
  return follower.events;
}

function traceTable(packet: Packet): Transaction {
  const family = ipFamily(packet.source) === 4 ? 'ip' : 'ip6';
  const name = `${TRACE_TABLE_PREFIX}${process.pid}-${++tablesMade}`;
  const table: Table = { family, name, isOwned: true };
  const transaction = new Transaction(table).addTable({ isExclusive: true });
  for (const chain of traceChains(packet)) transaction.addChain(chain);
  return transaction;
}

/** Two chains that mark, two without rules: the kernel reports their end with the packet as it is. */
function traceChains(packet: Packet): readonly Chain[] {
  const chain = (hook: BaseChain['hook'], priority: number, rules: Chain['rules']): Chain => ({
    name: TRACE_CHAIN[hook],
    base: { type: 'filter', hook, priority },
    rules,
  });
  const mark = [{ statements: [...matches(packet), trace] }];
  return [
    chain('prerouting', FIRST, mark),
    chain('output', FIRST, mark),
    chain('input', LAST, []),
    chain('postrouting', LAST, []),
  ];
}

function matches({ source, destination, protocol, port }: Packet): readonly Statement[] {
  const { saddr, daddr } = ipFamily(source) === 4 ? ip : ip6;
  return [
    match(saddr, '==', ipBytes(source)),
    match(daddr, '==', ipBytes(destination)),
    match(meta.l4proto, '==', protocolBytes(protocol)),
    match(th.dport, '==', portBytes(port)),
  ];
}
