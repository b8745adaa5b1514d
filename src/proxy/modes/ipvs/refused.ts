import { IpvsError } from '../../../kernel/ipvs-error.ts';
import type { Destination, IpvsChange } from '../../../kernel/ipvs-types.ts';

/** A destination that the kernel does not take. */
export type RefusedDestination = Extract<IpvsChange, { readonly destination: Destination }>;

/**
 * The destinations whose address the kernel takes for none of a host: broadcast and multicast
 * (ip_vs_new_dest in net/netfilter/ipvs/ip_vs_ctl.c). Undefined when anything else has failed.
 */
export function refusedDestinations(thrown: unknown): readonly RefusedDestination[] | undefined {
  if (!(thrown instanceof IpvsError)) return undefined;
  const refused = thrown.failures.flatMap(({ change, code }) => {
    return change.op === 'addDestination' && code === 'EINVAL' ? [change] : [];
  });
  return refused.length === thrown.failures.length ? refused : undefined;
}
