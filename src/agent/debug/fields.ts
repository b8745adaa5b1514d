/** Reads the fields of a request: each function throws DebugRequestError, which names the field. */
import { type IP, tryParseIP } from '../../net/ip.ts';
import type { Protocol } from '../../proxy/service.ts';
import { WeftError } from '../../util/errors.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** The request is not one; the message names the field and what it wants. */
export class DebugRequestError extends WeftError {
  constructor(message: string) {
    super('EINVAL', message);
  }
}

const MOST_INTERFACE_CHARACTERS = 15;
/** Of a namespace or an object, and the slash between them. */
const MOST_NAME_CHARACTERS = 63 + 1 + 253;
const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];

export function parseAddress(value: unknown, name: string): IP {
  const ip = typeof value === 'string' ? tryParseIP(value) : undefined;
  if (ip === undefined) throw new DebugRequestError(`${name}: expected an IP address`);
  return ip;
}

export function parseProtocol(value: unknown): Protocol {
  const protocol = PROTOCOLS.find((name) => name === value);
  if (protocol === undefined) throw new DebugRequestError('protocol: expected tcp, udp or sctp');
  return protocol;
}

export function parseName(value: unknown, field: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= MOST_NAME_CHARACTERS) {
    return value;
  }
  throw new DebugRequestError(`${field}: expected a name`);
}

/** Undefined when it is not given. */
export function parseSwitch(value: unknown, field: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  throw new DebugRequestError(`${field}: expected true or false`);
}

export function parseNumber(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new DebugRequestError(`${field}: expected a number from 0 on`);
}

export function parseInterface(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '' || value.length > MOST_INTERFACE_CHARACTERS) {
    throw new DebugRequestError('inInterface: expected the name of a network interface');
  }
  return value;
}

export function parseObject(line: string): Fields {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw new DebugRequestError('expected one line of JSON');
  }
  return asObject(parsed, 'request');
}

export function asObject(value: unknown, name: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DebugRequestError(`${name}: expected an object`);
  }
  // Any object has string keys; every value is checked before it is used.
  return value as Fields;
}
