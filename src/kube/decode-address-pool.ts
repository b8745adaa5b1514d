import { decodeMeta, type Kept } from './decode.ts';
import { type DecodeMode, ObjectReader } from './fields.ts';
import type { KubernetesObject } from './types.ts';

/** weft.dev/v1alpha1 AddressPool, and as much of metallb.io/v1beta1 IPAddressPool as is the same. */
export interface AddressPoolObject extends KubernetesObject {
  /** `192.0.2.0/28` or `192.0.2.10-192.0.2.20` */
  readonly addresses: readonly string[];
  readonly autoAssign: boolean;
  readonly avoidBuggyIPs: boolean;
  /** Empty: for all. */
  readonly namespaces: readonly string[];
  readonly priority: number;
  /** Of it that is not supported, in words; it is used for nobody then. */
  readonly unsupported: readonly string[];
}

const KEPT: Kept = { isLabelKept: () => false, isAnnotationKept: () => false };
const MOST_PRIORITY = 2_147_483_647;
/** MetalLB's pools without a priority come last. */
const LAST = MOST_PRIORITY;

/** Reads a pool of ours; throws FieldError. */
export function decodeAddressPool(value: unknown, mode: DecodeMode): AddressPoolObject {
  return decodePool(new ObjectReader(value, mode), 'spec');
}

/** Reads a pool of MetalLB's; throws FieldError. */
export function decodeMetalLBPool(value: unknown, mode: DecodeMode): AddressPoolObject {
  return decodePool(new ObjectReader(value, mode), 'serviceAllocation');
}

function decodePool(object: ObjectReader, choice: 'spec' | 'serviceAllocation'): AddressPoolObject {
  const spec = object.object('spec');
  const chosen = choice === 'spec' ? spec : spec.optionalObject('serviceAllocation');
  const selectors = ['namespaceSelectors', 'serviceSelectors'].filter((name) => {
    return (chosen?.optionalList(name)?.length ?? 0) > 0;
  });
  return {
    metadata: decodeMeta(object, KEPT, choice !== 'spec'),
    addresses: spec.optionalStrings('addresses') ?? [],
    autoAssign: spec.optionalBoolean('autoAssign') ?? true,
    avoidBuggyIPs: spec.optionalBoolean('avoidBuggyIPs') ?? false,
    namespaces: chosen?.optionalStrings('namespaces') ?? [],
    priority: chosen?.optionalInteger('priority', 0, MOST_PRIORITY) || LAST,
    unsupported: selectors.map((name) => `${name} are not supported: name its namespaces`),
  };
}
