import { ADDRESS_ANNOTATIONS, objectKey } from '../../kube/resources.ts';
import type { Service } from '../../kube/types.ts';
import { type IP, type IPFamily, ipFamily, tryParseIP } from '../../net/ip.ts';

/** What a Service of type LoadBalancer asks for. */
export interface AddressRequest {
  /** `namespace/name` */
  readonly service: string;
  readonly namespace: string;
  /** RFC 3339, or empty. */
  readonly createdAt: string;
  /** What its status says now. */
  readonly held: readonly IP[];
  /** One address of each. */
  readonly families: readonly IPFamily[];
  /** These and no others; at most one of each family. */
  readonly wanted: readonly IP[];
  /** Only of this pool. */
  readonly pool?: string;
  /** Services with the same may share an address, as long as no port is used twice. */
  readonly sharing?: string;
  /** `tcp 80` */
  readonly ports: readonly string[];
  /** Packets are only sent to endpoints of the node that gets them. */
  readonly isLocal: boolean;
  /** Why it can have nothing, in words with the cure. */
  readonly problem?: string;
}

/** Of what somebody has written into an annotation, which may be 256 KB. */
const MOST_SHOWN = 64;
/** Longer names of pools there are none. */
const MOST_NAME = 254;

/**
 * What a Service asks for; undefined for one that is of another type or class. `ownClass` is the class
 * that is served; empty for Services without.
 */
export function addressRequest(service: Service, ownClass: string): AddressRequest | undefined {
  const { metadata, spec } = service;
  if (spec.type !== 'LoadBalancer' || (spec.loadBalancerClass ?? '') !== ownClass) return undefined;
  if (metadata.deletionTimestamp !== undefined) return undefined;
  const annotation = (names: readonly string[]) =>
    names.map((name) => metadata.annotations?.[name]).find((text) => text !== undefined);
  const texts = (annotation(ADDRESS_ANNOTATIONS.wanted) ?? spec.loadBalancerIP ?? '')
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '');
  const wanted = texts.flatMap((text) => tryParseIP(text) ?? []);
  const families = familiesOf(service);
  const problem = problemOf(texts, wanted, families);
  const pool = annotation(ADDRESS_ANNOTATIONS.pool);
  const sharing = annotation(ADDRESS_ANNOTATIONS.sharing);
  return {
    ...{ service: objectKey(service), namespace: metadata.namespace, families, wanted },
    createdAt: metadata.creationTimestamp ?? '',
    held: heldBy(service),
    ...(pool === undefined ? {} : { pool: pool.slice(0, MOST_NAME) }),
    ...(sharing === undefined || sharing === '' ? {} : { sharing }),
    ports: (spec.ports ?? []).map(({ protocol, port }) => `${protocol.toLowerCase()} ${port}`),
    isLocal: spec.externalTrafficPolicy === 'Local',
    ...(problem === undefined ? {} : { problem }),
  };
}

/** The addresses that the status of a Service has. */
export function heldBy({ status }: Service): readonly IP[] {
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => tryParseIP(ip ?? '') ?? []);
}

function familiesOf({ spec }: Service): readonly IPFamily[] {
  const named = (spec.ipFamilies ?? []).flatMap((name): IPFamily[] => {
    if (name === 'IPv4') return [4];
    return name === 'IPv6' ? [6] : [];
  });
  if (named.length > 0) return named;
  const ip = tryParseIP(spec.clusterIP ?? '');
  return [ip === undefined ? 4 : ipFamily(ip)];
}

function problemOf(
  texts: readonly string[],
  wanted: readonly IP[],
  families: readonly IPFamily[],
): string | undefined {
  const wrong = texts.find((text) => tryParseIP(text) === undefined);
  if (wrong !== undefined) return `${wrong.slice(0, MOST_SHOWN)}: expected an IP address`;
  const asked = wanted.map(ipFamily);
  const strange = asked.find((family) => !families.includes(family));
  if (strange !== undefined) return `it wants an IPv${strange} address, and has no such family`;
  return new Set(asked).size < asked.length ? 'it wants two addresses of one family' : undefined;
}
