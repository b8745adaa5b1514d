import { decodeMeta, type Kept } from './decode.ts';
import { type DecodeMode, ObjectReader } from './fields.ts';
import type { KubernetesObject } from './types.ts';

/** coordination.k8s.io/v1 Lease. */
export interface Lease extends KubernetesObject {
  /** Empty: nobody. */
  readonly holder: string;
  /** As written; only compared. */
  readonly renewTime: string;
}

const KEPT: Kept = { isLabelKept: () => false, isAnnotationKept: () => false };

/** Reads a Lease; throws FieldError. */
export function decodeLease(value: unknown, mode: DecodeMode): Lease {
  const object = new ObjectReader(value, mode);
  const spec = object.optionalObject('spec');
  return {
    metadata: decodeMeta(object, KEPT, true),
    holder: spec?.optionalString('holderIdentity') ?? '',
    renewTime: spec?.optionalString('renewTime') ?? '',
  };
}
