import { isWithoutNftables } from '../../../../nftables/absence.ts';
import { NftablesConnection } from '../../../../nftables/connection.ts';
import { watchTraces } from '../../../../nftables/trace.ts';
import type { Transaction } from '../../../../nftables/transaction.ts';
import type { Packet } from '../../../../proxy/verdict/explanation.ts';
import type { Clock } from '../../../../util/clock.ts';
import type { Sender } from './send.ts';
import { TraceFollower } from './trace-follower.ts';
import { TRACE_TABLE_PREFIX, type Traced, type TracedPlace, traceTables } from './trace-table.ts';

export interface LiveTraceOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Aborted: nobody waits any more. */
  readonly signal: AbortSignal;
  /** Where it may go to. */
  readonly places: readonly TracedPlace[];
  /** Absent: somebody else's packet is waited for. */
  readonly sender?: Sender | undefined;
}

/** After its first event a packet has left the node, or is held somewhere for good. */
const PACKET_MS = 500;
/** An answer from the other end of the world takes less. */
const REPLY_MS = 1_000;
/** Who drops it may answer in the endpoint's place. */
const REFUSAL_MS = 100;

let tablesMade = 0;

/**
 * Waits for the next packet from the source to the destination and port, and for its answer, and gives
 * everything the kernel reports of them; nothing when none came in time. For that time a table of ours
 * marks such packets. The connection owns it, so it is gone with this process, however that ends.
 */
export async function tracePacket(packet: Packet, options: LiveTraceOptions): Promise<Traced> {
  const { clock, timeoutMs, signal, places, sender } = options;
  const follower = new TraceFollower(packet, sender?.sourcePort);
  const { promise, resolve } = Promise.withResolvers<void>();
  const timers = [clock.schedule(timeoutMs, resolve)];
  let waits = 0;
  /** Later waits take the place of earlier ones. */
  const endWithin = (ms: number, phase: number) => {
    if (phase <= waits) return;
    waits = phase;
    timers.pop()?.();
    timers.push(clock.schedule(ms, resolve));
  };
  const watch = watchTraces(undefined, (event) => {
    if (event === 'overflow') return;
    follower.add(event);
    if (follower.isReplyComplete) resolve();
    else if (follower.reply.length > 0) endWithin(PACKET_MS, 3);
    else if (follower.isRequestComplete) endWithin(wasDropped(follower) ? REFUSAL_MS : REPLY_MS, 2);
    else if (follower.request.length > 0) endWithin(PACKET_MS, 1);
  });
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) resolve();
  let connection: NftablesConnection | undefined;
  try {
    const opened = NftablesConnection.open();
    connection = opened;
    const name = `${TRACE_TABLE_PREFIX}${process.pid}-${++tablesMade}`;
    for (const table of traceTables(packet, places, name)) commitTable(opened, table);
    sender?.send();
    await promise;
  } finally {
    sender?.close();
    connection?.close();
    watch.close();
    for (const cancel of timers) cancel();
  }
  return follower;
}

/** A kernel without rules for bridges shows the others. */
function commitTable(connection: NftablesConnection, table: Transaction): void {
  try {
    connection.commit(table);
  } catch (thrown) {
    if (table.table.family !== 'bridge' || !isWithoutNftables(thrown)) throw thrown;
  }
}

function wasDropped({ request }: Traced): boolean {
  return request.at(-1)?.verdict === 'drop';
}
