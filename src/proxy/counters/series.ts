/** What the elements that count stand for, and their metrics' labels. */
import { formatHostPort } from '../../net/host-port.ts';
import type { IPFamily } from '../../net/ip.ts';
import { readIPBytes, readPortBytes } from '../../nftables/bytes.ts';
import type { SetName } from '../modes/nftables/sets.ts';

/**
 * `service`: connections that came to a frontend. `endpoint`: those of them led to an endpoint.
 * `refused`: packets answered or dropped instead.
 */
export type SeriesKind = 'service' | 'endpoint' | 'refused';

/** Why packets were refused. */
export type Reason = 'no_endpoints' | 'no_local_endpoints' | 'source_range';

/**
 * What the elements of a set say: `frontend` and `refusal` count and carry a name; `slot` and
 * `affine` count for an endpoint, `affinityId` names the second of these.
 */
export type SetRole = 'frontend' | 'refusal' | 'affinityId' | 'slot' | 'affine';

/** The sets that matter, those with names first. */
export const SET_ROLES: ReadonlyMap<SetName, SetRole> = new Map([
  ['service-ips', 'frontend'],
  ['service-nodeports', 'frontend'],
  ['no-endpoint-services', 'refusal'],
  ['no-endpoint-nodeports', 'refusal'],
  ['rejected-sources', 'refusal'],
  ['affinity-ids', 'affinityId'],
  ['affinity-nodeport-ids', 'affinityId'],
  ['endpoints', 'slot'],
  ['nodeport-endpoints', 'slot'],
  ['local-endpoints', 'slot'],
  ['local-nodeport-endpoints', 'slot'],
  ['affine-endpoints', 'affine'],
  ['affine-local-endpoints', 'affine'],
]);

const PROTOCOLS: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };
const SLOT_BYTES = 4;
const FIELD_BYTES = 4;
/** `protocol . port`: no address has that many bytes. */
const PORT_KEY_BYTES = 8;

/** A time series; its text form is the key of totals. */
export interface Series {
  readonly kind: SeriesKind;
  /** Of the ServicePort: `namespace/name:port`. */
  readonly port: string;
  readonly reason: Reason | undefined;
  /** Register bytes: of the frontend, or `protocol . address . port` of the endpoint. */
  readonly bytes: string;
}

/** A series in one string. The bytes come last, as they may be any. */
export function seriesKey({ kind, port, reason = 'no_endpoints', bytes }: Series): string {
  return `${kind}\n${port}\n${kind === 'refused' ? reason : ''}\n${bytes}`;
}

/** The Service of a series: `namespace/name`. */
export function serviceOfSeries(key: string): string {
  const start = key.indexOf('\n') + 1;
  const port = key.slice(start, key.indexOf('\n', start));
  return port.split(':', 1)[0] ?? port;
}

/** The kind of a series. */
export function kindOfSeries(key: string): SeriesKind {
  if (key.startsWith('service\n')) return 'service';
  return key.startsWith('endpoint\n') ? 'endpoint' : 'refused';
}

/** Why packets to a frontend in this set, with this verdict, are refused. */
export function refusalReason(set: SetName, verdict: string): Reason {
  if (set === 'rejected-sources') return 'source_range';
  return verdict === 'drop' ? 'no_local_endpoints' : 'no_endpoints';
}

/** The frontend's key within that of a slot. */
export function frontendOfSlot(key: string): string {
  return key.slice(0, -SLOT_BYTES);
}

/** The protocol within the key of a frontend. */
export function protocolOfFrontend(key: string): string {
  return key.slice(-PORT_KEY_BYTES, -FIELD_BYTES);
}

/** The endpoint within a key of affine-endpoints, as slots hold it. */
export function targetOfAffine(key: string): string {
  return key.slice(FIELD_BYTES);
}

/** Label names and values, in the order they are written. */
export function seriesLabels(
  key: string,
  family: IPFamily,
): readonly (readonly [string, string])[] {
  const [kind = '', port = '', reason = ''] = key.split('\n', 3);
  const bytes = key.slice(kind.length + port.length + reason.length + 3);
  const [service = '', portName = ''] = port.split(':', 2);
  const [namespace = '', name = ''] = service.split('/', 2);
  const isEndpoint = kind === 'endpoint';
  const protocol = bytes.charCodeAt(isEndpoint ? 0 : bytes.length - PORT_KEY_BYTES);
  const common: readonly (readonly [string, string])[] = [
    ['namespace', namespace],
    ['service', name],
    ['port', portName],
    ['protocol', PROTOCOLS[protocol] ?? String(protocol)],
    ['ip_family', family === 4 ? 'IPv4' : 'IPv6'],
  ];
  if (isEndpoint) return [...common, ['endpoint', hostPort(bytes, FIELD_BYTES, family)]];
  const frontend: readonly [string, string] = ['frontend', frontendText(bytes, family)];
  return kind === 'refused' ? [...common, frontend, ['reason', reason]] : [...common, frontend];
}

function frontendText(key: string, family: IPFamily): string {
  const port = readPortBytes(key, key.length - FIELD_BYTES);
  if (key.length === PORT_KEY_BYTES) return `nodePort:${port}`;
  return formatHostPort(readIPBytes(key, 0, family), port);
}

function hostPort(bytes: string, offset: number, family: IPFamily): string {
  return formatHostPort(
    readIPBytes(bytes, offset, family),
    readPortBytes(bytes, bytes.length - FIELD_BYTES),
  );
}
