import type { Kept } from '../decode.ts';
import { decodeMeta } from '../decode.ts';
import { type DecodeMode, ObjectReader } from '../fields.ts';
import { interned } from '../interned.ts';
import type { Labels, NamedPort, Namespace, Pod } from './types.ts';

const ENDED_PHASES: readonly string[] = ['Succeeded', 'Failed'];

const KEPT: Kept = { isLabelKept: () => true, isAnnotationKept: () => false };

/** On the object that a kubelet makes for a static pod: the uid by which the node knows that pod. */
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
const KEPT_OF_PODS: Kept = { ...KEPT, isAnnotationKept: (key) => key === MIRROR_ANNOTATION };

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

/**
 * As `decodePod`, with what tens of thousands of pods need not have each for itself: pods of one owner
 * share their labels. The uid is that which the runtime is told.
 */
export function decodeWatchedPod(value: unknown, mode: DecodeMode): Pod {
  const pod = decodePod(value, mode);
  const { labels, annotations } = decodeMeta(new ObjectReader(value, mode), KEPT_OF_PODS, true);
  return {
    ...pod,
    metadata: {
      name: pod.metadata.name,
      namespace: pod.metadata.namespace,
      uid: annotations?.[MIRROR_ANNOTATION] ?? pod.metadata.uid,
      resourceVersion: pod.metadata.resourceVersion,
      labels: sharedLabels(labels),
    },
    ips: pod.ips.length === 0 ? NONE : pod.ips,
    ports: sharedPorts(pod.ports.filter(({ name }) => name !== '')),
  };
}

const NONE: readonly never[] = [];
/** Beyond as many different ones the collection starts over. */
const MOST_SHARED = 10_000;

const sharedLabels = sharing<Labels | undefined>();
const sharedPorts = sharing<readonly NamedPort[]>();

/** One value for all that are alike. */
function sharing<T>(): (value: T) => T {
  const known = new Map<string, T>();
  return (value) => {
    const text = JSON.stringify(value);
    const shared = known.get(text);
    if (shared !== undefined || value === undefined) return shared ?? value;
    if (known.size >= MOST_SHARED) known.clear();
    known.set(text, value);
    return value;
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
