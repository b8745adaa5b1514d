/** The configuration of rate limits, under the keys of the reference's bandwidth plugin. */
import type { RateLimit } from '../../kernel/shaping.ts';
import { ConfigError } from '../../util/errors.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';

/** What a pod may receive and send; undefined is unlimited. */
export interface BandwidthConfig {
  readonly ingress?: RateLimit;
  readonly egress?: RateLimit;
}

type Members = Readonly<Record<string, unknown>>;

const RATE_KEYS = ['ingressRate', 'ingressBurst', 'egressRate', 'egressBurst'] as const;
const RUNTIME_KEY = 'runtimeConfig.bandwidth';

/**
 * Rates in bits per second and bursts in bits, at the top level or, when there is none of them, in
 * runtimeConfig.bandwidth. Throws ConfigError (CNI code 7) with the reference's texts. Limits of some
 * subnets only were in releases 1.5 of the reference and taken back in 1.6.0: as with 1.9.1 they are for all
 * packets.
 */
export function parseBandwidthConfig(config: Members): BandwidthConfig {
  if (RATE_KEYS.some((key) => memberOf(config, key) !== undefined)) return parseLimits(config, '');
  const runtimeConfig = memberOf(config, 'runtimeConfig') ?? {};
  if (!isJsonObject(runtimeConfig)) throw new ConfigError('runtimeConfig', 'must be an object');
  const bandwidth = memberOf(runtimeConfig, 'bandwidth') ?? {};
  if (!isJsonObject(bandwidth)) throw new ConfigError(RUNTIME_KEY, 'must be an object');
  return parseLimits(bandwidth, `${RUNTIME_KEY}.`);
}

function parseLimits(members: Members, prefix: string): BandwidthConfig {
  const ingress = parseLimit(members, prefix, 'ingress');
  const egress = parseLimit(members, prefix, 'egress');
  return {
    ...(ingress === undefined ? {} : { ingress }),
    ...(egress === undefined ? {} : { egress }),
  };
}

function parseLimit(
  members: Members,
  prefix: string,
  direction: 'ingress' | 'egress',
): RateLimit | undefined {
  const rateKey = `${direction}Rate`;
  const burstKey = `${direction}Burst`;
  const rateBits = parseBits(members, prefix, rateKey);
  const burstBits = parseBits(members, prefix, burstKey);
  if (burstBits === 0 && rateBits !== 0) {
    throw new ConfigError(`${prefix}${burstKey}`, 'if rate is set, burst must also be set');
  }
  if (rateBits === 0 && burstBits !== 0) {
    throw new ConfigError(`${prefix}${rateKey}`, 'if burst is set, rate must also be set');
  }
  if (Math.floor(burstBits / 8) >= 0xffffffff) {
    throw new ConfigError(`${prefix}${burstKey}`, 'burst cannot be more than 4GB');
  }
  return rateBits === 0 ? undefined : { rateBits, burstBits };
}

function parseBits(members: Members, prefix: string, key: string): number {
  const value = memberOf(members, key) ?? 0;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  const text = JSON.stringify(value);
  throw new ConfigError(`${prefix}${key}`, `must be a whole number of bits, not ${text}`);
}
