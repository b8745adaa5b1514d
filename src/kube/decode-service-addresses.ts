import { decodeMeta, type Kept } from './decode.ts';
import { type DecodeMode, ObjectReader } from './fields.ts';
import type { KubernetesObject } from './types.ts';

/**
 * weft.dev/v1alpha1 ServiceAddresses: which addresses of pools the Service of the same name has, where no API
 * server keeps its status.
 */
export interface ServiceAddresses extends KubernetesObject {
  readonly addresses: readonly string[];
}

const KEPT: Kept = { isLabelKept: () => false, isAnnotationKept: () => false };

/** Reads what weft has noted; throws FieldError. */
export function decodeServiceAddresses(value: unknown, mode: DecodeMode): ServiceAddresses {
  const object = new ObjectReader(value, mode);
  return {
    metadata: decodeMeta(object, KEPT, true),
    addresses: object.optionalStrings('addresses') ?? [],
  };
}
