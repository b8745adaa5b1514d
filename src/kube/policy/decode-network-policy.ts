import { containsCidr, parseSloppyCidr } from '../../net/cidr.ts';
import { decodeMeta } from '../decode.ts';
import { type DecodeMode, FieldError, ObjectReader } from '../fields.ts';
import { optionalSelector, selectorOf } from './decode-selector.ts';
import type {
  Direction,
  IPBlock,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicyRule,
} from './types.ts';

const MAX_PORT = 65_535;
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
const NOTHING_KEPT = { isLabelKept: () => false, isAnnotationKept: () => false };

/** Reads networking.k8s.io/v1 NetworkPolicy; throws FieldError. */
export function decodeNetworkPolicy(value: unknown, mode: DecodeMode): NetworkPolicy {
  const object = new ObjectReader(value, mode);
  const metadata = decodeMeta(object, NOTHING_KEPT, true);
  const spec = object.object('spec');
  const ingress = decodeRules(spec, 'ingress', 'from');
  const egress = decodeRules(spec, 'egress', 'to');
  const directions = directionsOf(spec, egress.length > 0);
  return {
    metadata,
    podSelector: selectorOf(spec, 'podSelector'),
    rules: {
      ...(directions.includes('ingress') ? { ingress } : {}),
      ...(directions.includes('egress') ? { egress } : {}),
    },
  };
}

/** The API's default: Ingress always, Egress where there are rules for it. */
export function directionsOf(spec: ObjectReader, hasEgress: boolean): readonly Direction[] {
  const types = spec.optionalStrings('policyTypes');
  if (types === undefined || types.length === 0)
    return hasEgress ? ['ingress', 'egress'] : ['ingress'];
  return types.map((type, index) => {
    if (type === 'Ingress') return 'ingress';
    if (type === 'Egress') return 'egress';
    throw new FieldError([...spec.path, 'policyTypes', index], 'must be Ingress or Egress');
  });
}

function decodeRules(
  spec: ObjectReader,
  key: Direction,
  peersKey: 'from' | 'to',
): readonly NetworkPolicyRule[] {
  return (spec.optionalObjects(key) ?? []).map((rule) => ({
    peers: (rule.optionalObjects(peersKey) ?? []).map(decodePeer),
    ports: (rule.optionalObjects('ports') ?? []).map(decodePort),
  }));
}

function decodePeer(peer: ObjectReader): NetworkPolicyPeer {
  const podSelector = optionalSelector(peer, 'podSelector');
  const namespaceSelector = optionalSelector(peer, 'namespaceSelector');
  const block = peer.optionalObject('ipBlock');
  const hasSelector = podSelector !== undefined || namespaceSelector !== undefined;
  if (block !== undefined && hasSelector) {
    throw new FieldError([...peer.path, 'ipBlock'], 'cannot be combined with selectors');
  }
  if (block === undefined && !hasSelector && peer.mode === 'strict') {
    throw new FieldError(peer.path, 'needs podSelector, namespaceSelector or ipBlock');
  }
  return { podSelector, namespaceSelector, ipBlock: block && decodeBlock(block) };
}

function decodeBlock(block: ObjectReader): IPBlock {
  const cidr = cidrAt(block, 'cidr', block.string('cidr'));
  const except = (block.optionalStrings('except') ?? []).map((text, index) => {
    const inner = cidrAt(block, `except[${index}]`, text);
    if (containsCidr(cidr, inner)) return inner;
    throw new FieldError([...block.path, 'except', index], `must lie within ${cidr}, is ${inner}`);
  });
  return { cidr, except };
}

/** Host bits and leading zeros are taken as old API servers stored them. */
function cidrAt(block: ObjectReader, key: string, text: string) {
  const cidr = parseSloppyCidr(text);
  if (cidr === undefined) throw new FieldError([...block.path, key], 'must be a CIDR');
  return cidr;
}

function decodePort(port: ObjectReader): NetworkPolicyPort {
  const number = portOf(port);
  const endPort = port.optionalInteger('endPort', 1, MAX_PORT);
  if (endPort !== undefined && (typeof number !== 'number' || endPort < number)) {
    const rule =
      typeof number === 'number' ? `must be at least port ${number}` : 'needs a number in port';
    throw new FieldError([...port.path, 'endPort'], rule);
  }
  return { protocol: protocolOf(port), port: number, endPort };
}

function protocolOf(port: ObjectReader) {
  const text = port.optionalString('protocol');
  if (!text) return 'TCP';
  return port.optionalChoice('protocol', PROTOCOLS);
}

function portOf(port: ObjectReader): number | string | undefined {
  const value = port.value('port') ?? undefined;
  if (typeof value !== 'string') return port.optionalInteger('port', 1, MAX_PORT);
  if (/^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$/.test(value) && /[a-z]/.test(value)) return value;
  throw new FieldError([...port.path, 'port'], 'must be a number or the name of a container port');
}
