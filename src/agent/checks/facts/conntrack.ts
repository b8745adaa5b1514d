import { sysctls } from '../../../kernel/sysctls.ts';
import type { IP } from '../../../net/ip.ts';
import { CT_GET } from '../../../netlink/ctnetlink/constants.ts';
import { decodeFlow } from '../../../netlink/ctnetlink/flow.ts';
import { encodeFlowFilter } from '../../../netlink/ctnetlink/request.ts';
import { dumpInParts } from '../../../netlink/dump-in-parts.ts';
import { NETLINK_NETFILTER } from '../../../netlink/numbers.ts';
import { NetlinkSocket } from '../../../netlink/socket.ts';
import { IoError } from '../../../util/errors.ts';
import { readIfThere } from '../../../util/files.ts';
import { factOf, isUnread } from '../check.ts';
import type { CheckedNode, CheckedPod } from '../checked-node.ts';
import { type ConntrackFacts, type ConntrackHolder, isNearlyFull } from '../conntrack.ts';
import type { CounterDeltas } from '../counter-deltas.ts';

/** Of a full table a part tells who fills it. */
const MOST_FLOWS = 20_000;
const MOST_HOLDERS = 3;
const LEAST_PERCENT = 5;
const RECEIVE_BUFFER_BYTES = 1 << 20;

export async function readConntrackFacts(
  { pods }: CheckedNode,
  deltas: CounterDeltas,
): Promise<ConntrackFacts> {
  const table = factOf(readFilling);
  const refused = factOf(() => deltas.grown('conntrack', readDropped()));
  const isWorthIt = !isUnread(table) && table !== undefined && isNearlyFull(table);
  return { table, refused, holders: isWorthIt ? await readHolders(pods) : [] };
}

function readFilling(): { readonly used: number; readonly most: number } | undefined {
  const used = sysctls.read(undefined, 'net/netfilter/nf_conntrack_count');
  const most = sysctls.read(undefined, 'net/netfilter/nf_conntrack_max');
  if (used === undefined || most === undefined) return undefined;
  return { used: Number(used), most: Number(most) };
}

/** One line for each processor under the names of the columns, in hexadecimal. */
function readDropped(): number {
  const text = readIfThere('/proc/net/stat/nf_conntrack');
  if (text === undefined) return 0;
  const [names = '', ...lines] = text.trimEnd().split('\n');
  const column = names.trim().split(/\s+/).indexOf('drop');
  if (column < 0) throw new IoError('/proc/net/stat/nf_conntrack has no column "drop"');
  return lines.reduce(
    (sum, line) => sum + Number.parseInt(line.trim().split(/\s+/)[column] ?? '0', 16),
    0,
  );
}

class EnoughError extends Error {}

/** Those who began most of the first flows that the kernel lists, in proportion to all that were read. */
async function readHolders(pods: readonly CheckedPod[]): Promise<readonly ConntrackHolder[]> {
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, {
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
  });
  const counts = new Map<IP, number>();
  let seen = 0;
  const request = { type: CT_GET, payload: encodeFlowFilter({ family: 4 }), what: 'list flows' };
  try {
    await dumpInParts(socket, request, (replies) => {
      for (const { payload } of replies) {
        const source = decodeFlow(payload)?.original.source;
        if (source !== undefined) counts.set(source, (counts.get(source) ?? 0) + 1);
      }
      seen += replies.length;
      if (seen >= MOST_FLOWS) throw new EnoughError();
    });
  } catch (thrown) {
    if (!(thrown instanceof EnoughError)) throw thrown;
  } finally {
    socket.close();
  }
  return [...counts]
    .toSorted(([, left], [, right]) => right - left)
    .slice(0, MOST_HOLDERS)
    .map(([address, count]) => {
      return { from: nameOf(address, pods), percent: Math.round((100 * count) / seen) };
    })
    .filter(({ percent }) => percent >= LEAST_PERCENT);
}

function nameOf(address: IP, pods: readonly CheckedPod[]): string {
  const pod = pods.find(({ addresses }) => addresses.includes(address));
  return pod === undefined ? address : `pod ${pod.name} (${address})`;
}
