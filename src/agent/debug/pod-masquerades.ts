import { exemptNetworks } from '../../cni/masquerade-entry.ts';
import type { NodePlan } from '../../cni/node-plan.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';

/** What of a pod's plan says it. */
export type MasqueradePlan = Pick<NodePlan, 'masquerade' | 'iptablesMasquerade'>;

/** Whom ipMasq masquerades, with the networks where they keep their own address. Pure. */
export function podMasqueradesOf(
  records: readonly { readonly plan?: MasqueradePlan }[],
): ReadonlyMap<IP, readonly Cidr[]> {
  const entries = records.flatMap(({ plan }) => [
    ...(plan?.masquerade ?? []),
    ...(plan?.iptablesMasquerade?.entries ?? []),
  ]);
  return new Map(entries.map((entry) => [entry.address, exemptNetworks(entry)]));
}
