import type { Conntrack } from '../../kernel/types.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import { systemClock } from '../../util/clock.ts';
import { errorCode } from '../../util/errors.ts';
import type { CniKernel } from '../node.ts';

/** Up to this many flows one listing of all of them is cheaper than two for every address. */
const FEW_FLOWS = 4096;

/** How long released addresses are gathered; a fraction of their quarantine. */
const GATHER_MS = 1000;

/**
 * Ends the tracked connections from and to addresses that are given back. Their address translation
 * would go on for whoever has the address next. Every listing walks the whole hash table, about 10 ms
 * with the 262,144 buckets of a node: so there are as few as possible, and none without any flow.
 */
export function endFlowsOf(kernel: CniKernel, addresses: readonly IP[]): void {
  if (addresses.length === 0) return;
  const count = Number(kernel.sysctls.read(undefined, 'net/netfilter/nf_conntrack_count') ?? 0);
  if (count === 0) return;
  const conntrack = kernel.openConntrack();
  try {
    for (const family of [4, 6] as const) {
      const ofFamily = addresses.filter((address) => ipFamily(address) === family);
      if (ofFamily.length > 0) endFlows(conntrack, family, ofFamily, count);
    }
  } finally {
    conntrack.close();
  }
}

/**
 * Gathers addresses for a moment and ends the flows of all of them together, well within their
 * quarantine.
 */
export function collectFlowEnds(kernel: CniKernel): (addresses: readonly IP[]) => void {
  const waiting = new Set<IP>();
  let isPlanned = false;
  const end = () => {
    isPlanned = false;
    const addresses = [...waiting];
    waiting.clear();
    try {
      endFlowsOf(kernel, addresses);
    } catch {
      // Nobody waits for it any more: the flows are left to their timeouts, as the reference does.
    }
  };
  return (addresses) => {
    for (const address of addresses) waiting.add(address);
    if (isPlanned || waiting.size === 0) return;
    isPlanned = true;
    systemClock.schedule(GATHER_MS, end);
  };
}

/**
 * Replies come from the address where a connection leads, whatever it was asked for. The kernel can
 * pick flows by one IPv4 address in one direction, and not by one of IPv6.
 */
function endFlows(
  conntrack: Conntrack,
  family: IPFamily,
  addresses: readonly IP[],
  count: number,
): void {
  try {
    if (family === 6 || count <= FEW_FLOWS) {
      const ended = new Set(addresses);
      conntrack.deleteFlows({ family }, ({ original, reply }) => {
        return ended.has(original.source) || ended.has(reply.source);
      });
      return;
    }
    for (const source of addresses) {
      conntrack.deleteFlows({ family, original: { source } });
      conntrack.deleteFlows({ family, reply: { source } });
    }
  } catch (thrown) {
    // nfnetlink knows no such subsystem: without nf_conntrack_netlink there is no way to end flows,
    // and an address is given back all the same.
    if (errorCode(thrown) !== 'EINVAL') throw thrown;
  }
}
