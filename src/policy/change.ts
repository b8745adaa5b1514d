import type { ClusterNetworkPolicy, Namespace, NetworkPolicy, Pod } from '../kube/policy/types.ts';
import type { Node } from '../kube/types.ts';
import type { IP } from '../net/ip.ts';

/** A pod that the CNI has attached on this node. */
export interface LocalPod {
  /** `namespace/name`. */
  readonly key: string;
  /** Of the Pod object; undefined where the runtime did not tell. */
  readonly uid: string | undefined;
  readonly ips: readonly IP[];
}

/**
 * One fact that decides who may talk to whom. `key` is `namespace/name`, or the name of what has no
 * namespace. Without `now` it is gone. Of local pods their addresses count, not those of the API.
 */
export type PolicyChange =
  | { readonly kind: 'pod'; readonly key: string; readonly now?: Pod }
  | { readonly kind: 'namespace'; readonly key: string; readonly now?: Namespace }
  | { readonly kind: 'node'; readonly key: string; readonly now?: Node }
  | { readonly kind: 'networkPolicy'; readonly key: string; readonly now?: NetworkPolicy }
  | {
      readonly kind: 'clusterNetworkPolicy';
      readonly key: string;
      readonly now?: ClusterNetworkPolicy;
    }
  | { readonly kind: 'localPod'; readonly key: string; readonly now?: LocalPod };
