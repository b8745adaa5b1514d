import { serviceCIDRs } from '../../kube/resources.ts';
import type { ObjectSource } from '../../kube/source.ts';
import type { ServiceCIDR } from '../../kube/types.ts';
import { type Cidr, tryParseCidr } from '../../net/cidr.ts';

/**
 * Tells the networks of Services, all of them at every change: there are few, and they change rarely.
 * Settles when they were read.
 */
export function watchServiceCIDRs(
  source: ObjectSource,
  tell: (cidrs: readonly Cidr[]) => void,
): Promise<void> {
  const known = new Map<string, readonly Cidr[]>();
  const note = ({ metadata, spec }: ServiceCIDR) => {
    known.set(
      metadata.name,
      spec.cidrs.flatMap((text) => tryParseCidr(text) ?? []),
    );
    tell([...known.values()].flat());
  };
  const { synced } = source.watch(serviceCIDRs, {
    onAdd: note,
    onUpdate: note,
    onDelete: ({ metadata }) => {
      known.delete(metadata.name);
      tell([...known.values()].flat());
    },
  });
  return synced;
}
