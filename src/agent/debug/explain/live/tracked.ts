/**
 * What connection tracking knows of a packet: where it was led and whether an answer came. For what no rule
 * shows: the choice of IPVS, and kernels that report no rules.
 */
import { type Connection, watchConnections } from '../../../../kernel/connections.ts';
import { openConntrack } from '../../../../kernel/conntrack.ts';
import type { FlowFilter } from '../../../../kernel/types.ts';
import { ipFamily } from '../../../../net/ip.ts';
import { matchesFlow } from '../../../../netlink/ctnetlink/request.ts';
import { PROTOCOL_NUMBERS } from '../../../../proxy/service.ts';
import type { Packet } from '../../../../proxy/verdict/explanation.ts';
import type { Clock } from '../../../../util/clock.ts';
import type { Sender } from './send.ts';

/** `refused`: it ended at once, as a connection that is reset before it was answered, or the sender was told so. */
export interface Tracked {
  readonly flow: Connection['flow'];
  readonly answer: 'answered' | 'refused' | 'none';
}

export interface TrackedOptions {
  readonly clock: Clock;
  /** For a packet of somebody else. */
  readonly timeoutMs: number;
  /** Aborted: nobody waits any more. */
  readonly signal: AbortSignal;
  /** Absent: somebody else's packet is waited for. */
  readonly sender?: Sender | undefined;
}

/** A packet that was sent is tracked when it leaves the node. */
const SENT_MS = 1_000;
/** An answer from the other end of the world takes less. */
const REPLY_MS = 1_000;
const LOOK_MS = 100;
/** IPS_SEEN_REPLY (nf_conntrack_common.h). */
const SEEN_REPLY = 1 << 1;

/** The connection of the packet that is sent, or of the next one; undefined when none was tracked in time. */
export async function trackPacket(
  packet: Packet,
  { clock, timeoutMs, signal, sender }: TrackedOptions,
): Promise<Tracked | undefined> {
  const filter = filterOf(packet, sender?.sourcePort);
  let flow: Connection['flow'] | undefined;
  let hasEnded = false;
  const watch = watchConnections({}, ({ events }) => {
    for (const { kind, connection } of events) {
      if (!matchesFlow(filter, connection.flow)) continue;
      if (kind === 'new') flow ??= connection.flow;
      else if (flow?.original.sourcePort === connection.flow.original.sourcePort) hasEnded = true;
    }
  });
  const wait = { clock, signal };
  try {
    sender?.send();
    await until(() => flow !== undefined, sender === undefined ? timeoutMs : SENT_MS, wait);
    const begun = flow;
    const sourcePort = begun?.original.sourcePort;
    if (begun === undefined || sourcePort === undefined) return undefined;
    const isAnswered = () => trackedFlow(packet, sourcePort)?.answer === 'answered';
    const isRefused = () => hasEnded || sender?.wasRefused() === true;
    await until(() => isRefused() || isAnswered(), REPLY_MS, wait);
    return { flow: begun, answer: isAnswered() ? 'answered' : isRefused() ? 'refused' : 'none' };
  } finally {
    sender?.close();
    watch.close();
  }
}

/** The connection of a packet that was seen; undefined where nothing is tracked of it. */
export function trackedFlow(packet: Packet, sourcePort: number): Tracked | undefined {
  const { source, destination, protocol, port: destinationPort } = packet;
  const conntrack = openConntrack();
  try {
    const flow = conntrack.flowOf({
      ...{ source, destination, sourcePort, destinationPort },
      protocol: PROTOCOL_NUMBERS[protocol],
    });
    return flow && { flow, answer: (flow.status & SEEN_REPLY) === 0 ? 'none' : 'answered' };
  } finally {
    conntrack.close();
  }
}

/** Looks now and then, at most this long, or until nobody waits any more. */
async function until(
  isDone: () => boolean,
  timeoutMs: number,
  { clock, signal }: Pick<TrackedOptions, 'clock' | 'signal'>,
): Promise<void> {
  for (
    let waitedMs = 0;
    !isDone() && waitedMs < timeoutMs && !signal.aborted;
    waitedMs += LOOK_MS
  ) {
    await new Promise<void>((resolve) => clock.schedule(LOOK_MS, resolve));
  }
}

function filterOf(packet: Packet, sourcePort: number | undefined): FlowFilter {
  const { source, destination, protocol, port: destinationPort } = packet;
  return {
    family: ipFamily(source),
    protocol: PROTOCOL_NUMBERS[protocol],
    original: {
      ...{ source, destination, destinationPort },
      ...(sourcePort === undefined ? {} : { sourcePort }),
    },
  };
}
