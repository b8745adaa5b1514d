import { decodeMeta, type Kept } from './decode.ts';
import { type DecodeMode, ObjectReader } from './fields.ts';
import type { Resource } from './resources.ts';
import type { KubernetesObject } from './types.ts';

/** metallb.io/v1beta1 L2Advertisement or BGPAdvertisement: how addresses of pools are told. */
export interface Advertisement extends KubernetesObject {
  readonly of: 'L2Advertisement' | 'BGPAdvertisement';
  /** What its spec says anything by, in the order of names. */
  readonly keys: readonly string[];
}

const KEPT: Kept = { isLabelKept: () => false, isAnnotationKept: () => false };
/** What the API server fills in, and means that each address is told by itself. */
const FILLED_IN: Readonly<Record<string, unknown>> = {
  aggregationLength: 32,
  aggregationLengthV6: 128,
};

/** Throws FieldError. */
export function decodeL2Advertisement(value: unknown, mode: DecodeMode): Advertisement {
  return decodeAdvertisement('L2Advertisement', new ObjectReader(value, mode));
}

/** Throws FieldError. */
export function decodeBGPAdvertisement(value: unknown, mode: DecodeMode): Advertisement {
  return decodeAdvertisement('BGPAdvertisement', new ObjectReader(value, mode));
}

function decodeAdvertisement(of: Advertisement['of'], object: ObjectReader): Advertisement {
  const spec = object.optionalObject('spec');
  const keys = (spec?.keys() ?? []).filter((key) => {
    const value = spec?.value(key);
    const isEmpty = value === undefined || value === null || value === '';
    return !isEmpty && !(Array.isArray(value) && value.length === 0) && value !== FILLED_IN[key];
  });
  return { metadata: decodeMeta(object, KEPT, true), of, keys: keys.toSorted() };
}

/** How MetalLB tells addresses of its pools on links. */
export const l2Advertisements: Resource<Advertisement> = {
  group: 'metallb.io',
  version: 'v1beta1',
  plural: 'l2advertisements',
  kind: 'L2Advertisement',
  isNamespaced: true,
  isSelected: () => true,
  decode: decodeL2Advertisement,
  isOptional: true,
  isRequiredWhereServed: true,
};

/** How MetalLB tells them to routers. */
export const bgpAdvertisements: Resource<Advertisement> = {
  ...l2Advertisements,
  plural: 'bgpadvertisements',
  kind: 'BGPAdvertisement',
  decode: decodeBGPAdvertisement,
};
