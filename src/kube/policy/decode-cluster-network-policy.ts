import { parseSloppyCidr } from '../../net/cidr.ts';
import { decodeMeta } from '../decode.ts';
import { type DecodeMode, FieldError, ObjectReader } from '../fields.ts';
import { optionalSelector, selectorOf } from './decode-selector.ts';
import type {
  ClusterNetworkPolicy,
  ClusterPeer,
  ClusterProtocol,
  ClusterRule,
  Direction,
  NamespacedPods,
} from './types.ts';

const MAX_PORT = 65_535;
const MAX_PRIORITY = 1_000;
const NOTHING_KEPT = { isLabelKept: () => false, isAnnotationKept: () => false };

/**
 * Reads policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy; throws FieldError. Peers and protocols
 * of kinds that are not known are kept as such: what they mean depends on the rule's action.
 */
export function decodeClusterNetworkPolicy(value: unknown, mode: DecodeMode): ClusterNetworkPolicy {
  const object = new ObjectReader(value, mode);
  const metadata = decodeMeta(object, NOTHING_KEPT, false);
  const spec = object.object('spec');
  return {
    metadata,
    tier: spec.choice('tier', ['Admin', 'Baseline']),
    priority: spec.integer('priority', 0, MAX_PRIORITY),
    subject: clusterSubject(spec),
    rules: {
      ingress: decodeRules(spec, 'ingress', 'from', podPeer),
      egress: decodeRules(spec, 'egress', 'to', egressPeer),
    },
  };
}

function decodeRules(
  spec: ObjectReader,
  key: Direction,
  peersKey: 'from' | 'to',
  decodePeer: (peer: ObjectReader) => ClusterPeer,
): readonly ClusterRule[] {
  return (spec.optionalObjects(key) ?? []).map((rule) => {
    const peers = rule.optionalObjects(peersKey) ?? [];
    if (peers.length === 0)
      throw new FieldError([...rule.path, peersKey], 'needs at least one peer');
    return {
      name: rule.optionalString('name'),
      action: rule.choice('action', ['Accept', 'Deny', 'Pass']),
      peers: peers.map(decodePeer),
      protocols: (rule.optionalObjects('protocols') ?? []).map(decodeProtocol),
    };
  });
}

type PodPeer = ClusterNetworkPolicy['subject'];

export function clusterSubject(spec: ObjectReader): PodPeer {
  return podPeer(spec.object('subject'));
}

function podPeer(peer: ObjectReader): PodPeer {
  const namespaces = optionalSelector(peer, 'namespaces');
  if (namespaces !== undefined) return { kind: 'namespaces', selector: namespaces };
  const pods = peer.optionalObject('pods');
  if (pods !== undefined) return { kind: 'pods', pods: namespacedPods(pods) };
  return { kind: 'unknown', what: unknownKey(peer) };
}

function egressPeer(peer: ObjectReader): ClusterPeer {
  const known = podPeer(peer);
  if (known.kind !== 'unknown') return known;
  const nodes = optionalSelector(peer, 'nodes');
  if (nodes !== undefined) return { kind: 'nodes', selector: nodes };
  const networks = peer.optionalStrings('networks');
  if (networks === undefined) return known;
  return { kind: 'networks', cidrs: networks.map((text, index) => cidrAt(peer, index, text)) };
}

function cidrAt(peer: ObjectReader, index: number, text: string) {
  const cidr = parseSloppyCidr(text);
  if (cidr === undefined) throw new FieldError([...peer.path, 'networks', index], 'must be a CIDR');
  return cidr;
}

function namespacedPods(pods: ObjectReader): NamespacedPods {
  return {
    namespaceSelector: selectorOf(pods, 'namespaceSelector'),
    podSelector: selectorOf(pods, 'podSelector'),
  };
}

function decodeProtocol(entry: ObjectReader): ClusterProtocol {
  for (const [key, protocol] of [
    ['tcp', 'TCP'],
    ['udp', 'UDP'],
    ['sctp', 'SCTP'],
  ] as const) {
    const ports = entry.optionalObject(key);
    if (ports !== undefined) return portsOf(ports, protocol);
  }
  const name = entry.optionalString('destinationNamedPort');
  if (name) return { kind: 'named', name };
  return { kind: 'unknown', what: unknownKey(entry) };
}

function portsOf(ports: ObjectReader, protocol: 'TCP' | 'UDP' | 'SCTP'): ClusterProtocol {
  const port = ports.optionalObject('destinationPort');
  if (port === undefined) return { kind: 'ports', protocol };
  const number = port.optionalInteger('number', 1, MAX_PORT);
  if (number !== undefined) return { kind: 'ports', protocol, range: [number, number] };
  const range = port.optionalObject('range');
  if (range === undefined) return { kind: 'unknown', what: `${protocol} ${unknownKey(port)}` };
  const start = range.integer('start', 1, MAX_PORT);
  return { kind: 'ports', protocol, range: [start, range.integer('end', start, MAX_PORT)] };
}

/** What stands in the place of what is known, for people to read. */
function unknownKey(entry: ObjectReader): string {
  return entry.keys().join(', ') || 'nothing';
}
