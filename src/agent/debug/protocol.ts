/**
 * Questions to a running agent: one line of JSON to `<run directory>/agent.sock`, one line of JSON
 * back. Requests are `{"command": "status", ...}`, answers `{"result": ...}` or
 * `{"error": {"code", "message"}}`.
 */
import { join } from 'node:path';
import { type IP, ipFamily, tryParseIP } from '../../net/ip.ts';
import type { Protocol } from '../../proxy/service.ts';
import type { Packet } from '../../proxy/verdict/explanation.ts';
import { WeftError } from '../../util/errors.ts';
import type { NamedPacket } from './named-packet.ts';

export interface ExplainRequest {
  readonly command: 'explain';
  readonly packet: Packet | NamedPacket;
  /** Wait for such a packet, and tell where it went. */
  readonly liveTimeoutMs: number | undefined;
}

export interface DiffRequest {
  readonly command: 'diff';
}

export interface StatusRequest {
  readonly command: 'status';
}

export interface PolicyListRequest {
  readonly command: 'policy list';
}

export interface PolicyPodRequest {
  readonly command: 'policy pod';
  /** `namespace/name`, or a name. */
  readonly pod: string;
}

export interface PolicyDeniedRequest {
  readonly command: 'policy denied';
  /** The number of the last one known; 0 for none. */
  readonly after: number;
}

export type PolicyRequest = PolicyListRequest | PolicyPodRequest | PolicyDeniedRequest;

export type DebugRequest = ExplainRequest | DiffRequest | StatusRequest | PolicyRequest;

export type DebugAnswer =
  | { readonly result: unknown }
  | { readonly error: { readonly code: string; readonly message: string } };

/** The request is not one; the message names the field and what it wants. */
export class DebugRequestError extends WeftError {
  constructor(message: string) {
    super('EINVAL', message);
  }
}

export const MOST_REQUEST_BYTES = 16 * 1024;
export const MOST_LIVE_MS = 60_000;
const MOST_INTERFACE_CHARACTERS = 15;
/** Of a namespace or an object, and the slash between them. */
const MOST_NAME_CHARACTERS = 63 + 1 + 253;
const COMMANDS: readonly DebugRequest['command'][] = [
  ...(['explain', 'diff', 'status'] as const),
  ...(['policy list', 'policy pod', 'policy denied'] as const),
];
const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];

export function debugSocketPath(runDir: string): string {
  return join(runDir, 'agent.sock');
}

/** Reads one line of a client. Throws DebugRequestError. */
export function parseDebugRequest(line: string): DebugRequest {
  const fields = parseObject(line);
  switch (fields['command']) {
    case 'diff':
      return { command: 'diff' };
    case 'status':
      return { command: 'status' };
    case 'explain':
      return {
        command: 'explain',
        packet: parseAnyPacket(asObject(fields['packet'], 'packet')),
        liveTimeoutMs: parseLiveTimeout(fields['liveTimeoutMs']),
      };
    case 'policy list':
      return { command: 'policy list' };
    case 'policy pod':
      return { command: 'policy pod', pod: parseName(fields['pod'], 'pod') };
    case 'policy denied':
      return { command: 'policy denied', after: parseNumber(fields['after'] ?? 0, 'after') };
    default:
      throw new DebugRequestError(`command: expected one of ${COMMANDS.join(', ')}`);
  }
}

function parseAnyPacket(fields: Fields): Packet | NamedPacket {
  return 'from' in fields || 'to' in fields ? parseNamedPacket(fields) : parsePacket(fields);
}

function parseNamedPacket(fields: Fields): NamedPacket {
  const inInterface = parseInterface(fields['inInterface']);
  return {
    from: parseName(fields['from'], 'from'),
    to: parseName(fields['to'], 'to'),
    port: parseName(fields['port'], 'port'),
    protocol: parseProtocol(fields['protocol']),
    ...(inInterface === undefined ? {} : { inInterface }),
  };
}

function parsePacket(fields: Fields): Packet {
  const source = parseAddress(fields['source'], 'source');
  const destination = parseAddress(fields['destination'], 'destination');
  if (ipFamily(source) !== ipFamily(destination)) {
    throw new DebugRequestError(`source ${source} and destination ${destination}: two families`);
  }
  const protocol = parseProtocol(fields['protocol']);
  const port = fields['port'];
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new DebugRequestError('port: expected a number from 1 to 65535');
  }
  const inInterface = parseInterface(fields['inInterface']);
  const packet = { source, destination, protocol, port };
  return inInterface === undefined ? packet : { ...packet, inInterface };
}

function parseAddress(value: unknown, name: string): IP {
  const ip = typeof value === 'string' ? tryParseIP(value) : undefined;
  if (ip === undefined) throw new DebugRequestError(`${name}: expected an IP address`);
  return ip;
}

function parseProtocol(value: unknown): Protocol {
  const protocol = PROTOCOLS.find((name) => name === value);
  if (protocol === undefined) throw new DebugRequestError('protocol: expected tcp, udp or sctp');
  return protocol;
}

function parseName(value: unknown, field: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= MOST_NAME_CHARACTERS) {
    return value;
  }
  throw new DebugRequestError(`${field}: expected a name`);
}

function parseNumber(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new DebugRequestError(`${field}: expected a number from 0 on`);
}

function parseInterface(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '' || value.length > MOST_INTERFACE_CHARACTERS) {
    throw new DebugRequestError('inInterface: expected the name of a network interface');
  }
  return value;
}

function parseLiveTimeout(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !(value > 0 && value <= MOST_LIVE_MS)) {
    throw new DebugRequestError(`liveTimeoutMs: expected more than 0 and at most ${MOST_LIVE_MS}`);
  }
  return value;
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(line: string): Fields {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw new DebugRequestError('expected one line of JSON');
  }
  return asObject(parsed, 'request');
}

function asObject(value: unknown, name: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DebugRequestError(`${name}: expected an object`);
  }
  // Any object has string keys; every value is checked before it is used.
  return value as Fields;
}
