import { serviceCIDRs } from '../../kube/resources.ts';
import type { ObjectSource } from '../../kube/source.ts';
import type { ServiceCIDR } from '../../kube/types.ts';
import { type Cidr, tryParseCidr } from '../../net/cidr.ts';

/**
 * Tells the networks of Services, all of them at every change: there are few, and they change rarely.
 * What is `configured` counts as long as no object says it: before Kubernetes 1.33, or where we may not
 * read them. Settles when they were read.
 */
export function watchServiceCIDRs(
  source: ObjectSource,
  configured: readonly Cidr[],
  tell: (cidrs: readonly Cidr[]) => void,
): Promise<void> {
  const known = new Map<string, readonly Cidr[]>();
  const tellAll = () => tell(known.size === 0 ? configured : [...known.values()].flat());
  if (configured.length > 0) tellAll();
  const note = ({ metadata, spec }: ServiceCIDR) => {
    known.set(
      metadata.name,
      spec.cidrs.flatMap((text) => tryParseCidr(text) ?? []),
    );
    tellAll();
  };
  const { synced } = source.watch(serviceCIDRs, {
    onAdd: note,
    onUpdate: note,
    onDelete: ({ metadata }) => {
      known.delete(metadata.name);
      tellAll();
    },
  });
  return synced;
}
