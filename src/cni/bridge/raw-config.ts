/** The configuration as written: every key has its type, no value has been looked at. */
import type { ValidateFunction } from 'ajv';
import { ConfigError } from '../../util/errors.ts';
import type { RawAddresses } from '../address-config.ts';
import { canonicalKeys, isJsonObject } from '../protocol/json.ts';
import type { Dns } from '../protocol/result.ts';
import schema from './config.schema.json' with { type: 'json' };
import { validate } from './config-validator.generated.ts';
import type { TrunkEntry } from './vlans.ts';

/** Keys of the reference bridge plugin and of ours. */
export interface RawConfig extends RawAddresses {
  readonly bridge?: string;
  readonly isGateway?: boolean;
  readonly isDefaultGateway?: boolean;
  readonly forceAddress?: boolean;
  readonly ipMasq?: boolean;
  readonly ipMasqBackend?: string;
  readonly ipMasqExcept?: readonly string[];
  readonly mtu?: number | 'auto';
  readonly hairpinMode?: boolean;
  readonly promiscMode?: boolean;
  readonly vlan?: number;
  readonly vlanTrunk?: readonly TrunkEntry[];
  readonly preserveDefaultVlan?: boolean;
  readonly uplinkInterface?: string;
  readonly macspoofchk?: boolean;
  readonly enabledad?: boolean;
  readonly disableContainerInterface?: boolean;
  readonly portIsolation?: boolean;
  readonly fabric?: boolean;
  readonly policy?: boolean;
  readonly dns?: Dns;
  readonly args?: RawAddresses['args'] & { readonly cni?: { readonly mac?: string } };
  readonly runtimeConfig?: RawAddresses['runtimeConfig'] & { readonly mac?: string };
}

// Compiled by ajv from config.schema.json, which gives every key of RawConfig its type.
const isRawConfig = validate as ValidateFunction<RawConfig>;

/**
 * Reads the keys in whatever case they are written, as Go does. Throws ConfigError with the path of
 * a key of the wrong type.
 */
export function parseRawConfig(config: Readonly<Record<string, unknown>>): RawConfig {
  const value = canonicalKeys(config, schema);
  // The schema knows numbers only: its message for a text shall say so.
  const isAutoMtu = isJsonObject(value) && value['mtu'] === 'auto';
  if (isAutoMtu) return { ...parseRawConfig(withoutMtu(config)), mtu: 'auto' };
  if (!isRawConfig(value)) {
    const [error] = isRawConfig.errors ?? [];
    const key = pathOf(error?.instancePath ?? '', error?.params);
    throw new ConfigError(
      key,
      `invalid network configuration: key "${key}" ${error?.message ?? 'is not valid'}`,
      { cause: new Error(`got ${JSON.stringify(valueAt(value, error?.instancePath ?? ''))}`) },
    );
  }
  return value;
}

function withoutMtu(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(config).filter(([key]) => key.toLowerCase() !== 'mtu'));
}

/** The value a JSON pointer leads to; keys of the schema need no unescaping. */
function valueAt(value: unknown, instancePath: string): unknown {
  const keys = instancePath.split('/').slice(1);
  return keys.reduce<unknown>((at, key) => Object(at)[key], value);
}

/** `/ipam/ranges/0/0/subnet` → `ipam.ranges[0][0].subnet`, plus the key that is missing, if any. */
function pathOf(instancePath: string, params: unknown): string {
  const path = instancePath
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`))
    .join('');
  const missing = isJsonObject(params) ? params['missingProperty'] : undefined;
  return `${path}${typeof missing === 'string' ? `.${missing}` : ''}`.replace(/^\./, '');
}
