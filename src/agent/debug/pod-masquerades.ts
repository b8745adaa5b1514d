import { exemptNetworks, ownEntries } from '../../cni/masquerade-entry.ts';
import type { NodePlan } from '../../cni/node-plan.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import type { PodMasquerade } from '../pod-masquerade.ts';

/** What of a pod's plan says it. */
export type MasqueradePlan = Pick<NodePlan, 'masquerade' | 'iptablesMasquerade'>;

/** The fabric's part: whose addresses, and where they are seen all the same. */
export type FabricMasquerade = Pick<PodMasquerade, 'isFabrics' | 'direct'>;

/** Which pods are masqueraded, with the networks where they keep their own address. Pure. */
export function podMasqueradesOf(
  records: readonly { readonly plan?: MasqueradePlan; readonly addresses: readonly IP[] }[],
  { isFabrics, direct }: FabricMasquerade,
): ReadonlyMap<IP, readonly Cidr[]> {
  const served = records.flatMap(({ addresses }) => addresses).filter(isFabrics);
  const entries = records.flatMap(({ plan }) => [
    ...ownEntries(plan?.masquerade ?? [], isFabrics),
    ...(plan?.iptablesMasquerade?.entries ?? []),
  ]);
  return new Map([
    ...served.map((address) => [address, direct] as const),
    ...entries.map((entry) => [entry.address, exemptNetworks(entry)] as const),
  ]);
}
