import { objectKey } from '../kube/resources.ts';
import type { EndpointSlice, Node, Service } from '../kube/types.ts';
import { type Cidr, cidrFamily } from '../net/cidr.ts';
import type { IPFamily } from '../net/ip.ts';
import { type ParsedSlice, parseSlice, type SliceRecord, sliceIdentity } from './endpoints.ts';
import { type NodeFacts, parseNode } from './node-addresses.ts';
import { parseService, type ServiceEntry } from './service.ts';

/** One object that differs: as it is (absent: it is gone), and as it was, where that is known. */
type ObjectChange<K extends string, T> = { readonly kind: K } & (
  | { readonly now: T; readonly was?: T }
  | { readonly now?: undefined; readonly was: T }
);

/** What the proxy is told of the cluster. */
export type ClusterChange =
  | ObjectChange<'service', Service>
  | ObjectChange<'slice', EndpointSlice>
  | ObjectChange<'node', Node>
  /** All networks that clusterIPs are given from. */
  | { readonly kind: 'serviceCIDRs'; readonly cidrs: readonly Cidr[] };

export type SliceChange = Omit<ParsedSlice, 'record'> & {
  /** Undefined: it is gone, or belongs to another Service. */
  readonly record: SliceRecord | undefined;
};

/** What one address family is told, parsed; what is undefined is gone. */
export type FamilyChange = { readonly family: IPFamily } & (
  | { readonly kind: 'service'; readonly key: string; readonly entry: ServiceEntry | undefined }
  | ({ readonly kind: 'slice' } & SliceChange)
  | { readonly kind: 'node'; readonly facts: NodeFacts | undefined }
  | { readonly kind: 'serviceCIDRs'; readonly cidrs: readonly Cidr[] }
);

const FAMILIES: readonly IPFamily[] = [4, 6];

/** What a change means for each family; nothing if it is of another node than the one named. */
export function familyChanges(change: ClusterChange, nodeName: string): readonly FamilyChange[] {
  switch (change.kind) {
    case 'service': {
      const { now, was } = change;
      const key = objectKey(now ?? was);
      const entries = now && parseService(now);
      return FAMILIES.map((family) => ({
        kind: 'service',
        family,
        key,
        entry: entries?.get(family),
      }));
    }
    case 'slice':
      return sliceChanges(change, nodeName);
    case 'node': {
      const { now, was } = change;
      if ((now ?? was).metadata.name !== nodeName) return [];
      const facts = now && parseNode(now);
      return FAMILIES.map((family) => ({ kind: 'node', family, facts }));
    }
    case 'serviceCIDRs':
      return FAMILIES.map((family) => {
        const cidrs = change.cidrs.filter((cidr) => cidrFamily(cidr) === family);
        return { kind: 'serviceCIDRs', family, cidrs };
      });
  }
}

/** A slice that moved to another Service, or family, leaves where it was. */
function sliceChanges(
  { now, was }: ObjectChange<'slice', EndpointSlice>,
  nodeName: string,
): readonly FamilyChange[] {
  const added = now && parseSlice(now, nodeName);
  const left = was && sliceIdentity(was);
  const isSame = left?.service === added?.service && left?.family === added?.family;
  const gone = { record: undefined, changedAtMs: Number.NaN, warnings: [] };
  return [
    ...(left === undefined || isSame ? [] : [{ kind: 'slice', ...left, ...gone } as const]),
    ...(added === undefined ? [] : [{ kind: 'slice', ...added } as const]),
  ];
}
