import type { Kept } from '../decode.ts';
import { decodeMeta } from '../decode.ts';
import { type DecodeMode, ObjectReader } from '../fields.ts';
import { interned } from '../interned.ts';
import type { NamedPort, Namespace, Pod } from './types.ts';

const ENDED_PHASES: readonly string[] = ['Succeeded', 'Failed'];

const KEPT: Kept = { isLabelKept: () => true, isAnnotationKept: () => false };

/** Reads core/v1 Pod; throws FieldError. */
export function decodePod(value: unknown, mode: DecodeMode): Pod {
  const object = new ObjectReader(value, mode);
  const spec = object.optionalObject('spec');
  const status = object.optionalObject('status');
  return {
    metadata: decodeMeta(object, KEPT, true),
    nodeName: interned(spec?.optionalString('nodeName')),
    usesHostNetwork: spec?.optionalBoolean('hostNetwork') ?? false,
    hasEnded: ENDED_PHASES.includes(status?.optionalString('phase') ?? ''),
    ips: podIPs(status),
    ports: spec === undefined ? [] : podPorts(spec),
  };
}

function podIPs(status: ObjectReader | undefined): readonly string[] {
  const all = (status?.optionalObjects('podIPs') ?? []).map((entry) => entry.string('ip'));
  const first = status?.optionalString('podIP');
  return all.length > 0 || !first ? all : [first];
}

/** A sidecar is an init container that is restarted (KEP-753): its ports are the pod's. */
function podPorts(spec: ObjectReader): readonly NamedPort[] {
  const sidecars = (spec.optionalObjects('initContainers') ?? []).filter(
    (container) => container.optionalString('restartPolicy') === 'Always',
  );
  return [...(spec.optionalObjects('containers') ?? []), ...sidecars].flatMap((container) =>
    (container.optionalObjects('ports') ?? []).map(decodePort),
  );
}

function decodePort(port: ObjectReader): NamedPort {
  return {
    name: interned(port.optionalString('name') ?? ''),
    protocol: port.optionalClosedChoice('protocol', ['TCP', 'UDP', 'SCTP']) ?? 'TCP',
    port: port.integer('containerPort', 1, 65_535),
  };
}

/** Reads core/v1 Namespace; throws FieldError. */
export function decodeNamespace(value: unknown, mode: DecodeMode): Namespace {
  return { metadata: decodeMeta(new ObjectReader(value, mode), KEPT, false) };
}
