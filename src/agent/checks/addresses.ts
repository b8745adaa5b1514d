/** Whether Services of type LoadBalancer have addresses, and somebody answers for them. Pure. */
import { counted } from '../../util/human.ts';
import { type Check, type Fact, known, type Verdict } from './check.ts';
import type { CheckedAddresses } from './checked-node.ts';

export interface AddressFacts {
  /** Undefined: this node neither gives addresses nor answers for them, or no agent was asked. */
  readonly addresses: Fact<CheckedAddresses> | undefined;
}

const loadBalancers: Check<AddressFacts> = {
  id: 'load-balancer-addresses',
  concernsTraffic: true,
  why: 'clients outside reach a Service of type LoadBalancer by an address of a pool that a node answers for',
  judge: ({ addresses }) => {
    if (addresses === undefined) return undefined;
    const { pools, announcer, leaseCure } = known(addresses);
    const all = announcer?.all ?? [];
    const unanswered = all.flatMap(({ ip, services, whyNot }) =>
      whyNot === '' ? [] : [`nobody answers for ${ip} of ${services.join(', ')}: ${whyNot}`],
    );
    return (
      worded(pools?.leaseProblems ?? [], leaseCure) ??
      worded(announcer?.problems ?? [], 'weft bgp tells all of it') ??
      worded(pools?.problems ?? [], 'correct what is named; weft bgp tells all of it') ??
      worded(pools?.unassigned ?? [], UNASSIGNED) ??
      worded(unanswered, UNANSWERED) ?? { level: 'ok', seen: countText({ pools, announcer }) }
    );
  },
};

const UNASSIGNED =
  'add addresses to a pool, delete Services that hold some, or correct what the Service asks for; weft bgp tells who holds what';
const UNANSWERED =
  'weft explain --to NAMESPACE/SERVICE:PORT tells of endpoints, weft bgp of nodes that can answer';

export const ADDRESS_CHECKS: readonly Check<AddressFacts>[] = [loadBalancers];

/** What is cured alike, by its first: lists are summarized, and cannot be counted. */
function worded([first, ...others]: readonly string[], cure: string): Verdict | undefined {
  if (first === undefined) return undefined;
  const more = others.length === 0 ? '' : '; and others';
  return { level: 'warning', seen: `${first}${more}`, cure };
}

function countText({ pools, announcer }: Omit<CheckedAddresses, 'leaseCure'>): string {
  const held = pools?.pools.reduce((sum, { used }) => sum + used, 0) ?? 0;
  return [
    ...(pools
      ? [`${counted(held, 'address', 'addresses')} held of ${counted(pools.pools.length, 'pool')}`]
      : []),
    ...(announcer ? [`${announcer.all.length} answered for on links`] : []),
  ].join(', ');
}
