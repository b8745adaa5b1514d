import { decodeMeta, type Kept } from './decode.ts';
import { type DecodeMode, ObjectReader } from './fields.ts';
import { interned } from './interned.ts';
import type { Endpoint, EndpointPort, EndpointSlice, StandIn } from './types.ts';

const MAX_PORT = 65_535;
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
const SKIP_MIRROR_LABEL = 'endpointslice.kubernetes.io/skip-mirror';
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader';

interface Subset {
  readonly endpoints: readonly Endpoint[];
  readonly ports: readonly EndpointPort[];
}

/**
 * Decoder of core/v1 Endpoints as the slices that Kubernetes would mirror them into: one per subset
 * and address family (pkg/controller/endpointslicemirroring). Those that it would not mirror give no
 * slice and say why. Throws FieldError.
 */
export function endpointsDecoder(
  kept: Kept,
  serviceNameLabel: string,
): (value: unknown, mode: DecodeMode) => StandIn<EndpointSlice> {
  return (value, mode) => {
    const object = new ObjectReader(value, mode);
    const metadata = decodeMeta(object, kept, true);
    const whyUnused = reasonToSkip(object.object('metadata'));
    if (whyUnused !== undefined) return { metadata, objects: [], whyUnused };
    const subsets = object.optionalObjects('subsets')?.map(decodeSubset) ?? [];
    const labels = { [serviceNameLabel]: metadata.name };
    const objects = subsets.flatMap(({ endpoints, ports }, index) =>
      (['IPv4', 'IPv6'] as const).flatMap((addressType) => {
        const own = endpoints.filter(({ addresses }) => familyOf(addresses[0]) === addressType);
        const name = `${metadata.name}-subset${index}-${addressType.toLowerCase()}`;
        const meta = { ...metadata, name, labels };
        return own.length === 0 ? [] : [{ metadata: meta, addressType, endpoints: own, ports }];
      }),
    );
    return { metadata, objects };
  };
}

function reasonToSkip(meta: ObjectReader): string | undefined {
  const isKey = (wanted: string) => (key: string) => key === wanted;
  const skip = meta.optionalStringMap('labels', isKey(SKIP_MIRROR_LABEL))?.[SKIP_MIRROR_LABEL];
  if (skip === 'true') return `label ${SKIP_MIRROR_LABEL}`;
  const leader = meta.optionalStringMap('annotations', isKey(LEADER_ANNOTATION));
  return leader === undefined ? undefined : 'it is a lock of a leader election';
}

function decodeSubset(subset: ObjectReader): Subset {
  const addresses = (key: string, ready: boolean) =>
    subset.optionalObjects(key)?.map((address) => decodeAddress(address, ready)) ?? [];
  return {
    endpoints: [...addresses('addresses', true), ...addresses('notReadyAddresses', false)],
    ports: subset.optionalObjects('ports')?.map(decodePort) ?? [],
  };
}

function decodeAddress(address: ObjectReader, ready: boolean): Endpoint {
  return {
    addresses: [address.string('ip')],
    conditions: { ready },
    nodeName: interned(address.optionalString('nodeName')),
  };
}

function decodePort(port: ObjectReader): EndpointPort {
  return {
    name: port.optionalString('name'),
    protocol: port.optionalClosedChoice('protocol', PROTOCOLS) ?? 'TCP',
    port: port.integer('port', 1, MAX_PORT),
  };
}

function familyOf(address = ''): 'IPv4' | 'IPv6' {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}
