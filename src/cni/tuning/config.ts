/** The configuration of the reference's tuning plugin. */
import { type Mac, parseMac } from '../../net/mac.ts';
import { ConfigError, toError } from '../../util/errors.ts';
import { parseCniArgs } from '../protocol/args.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';
import type { Request } from '../protocol/request.ts';
import { repeatedSysctl, sysctlPath } from './sysctl-path.ts';

export interface SysctlWish {
  /** As configured, with the placeholder: what an allowlist speaks of. */
  readonly key: string;
  /** Below /proc/sys, with slashes. */
  readonly path: string;
  readonly value: string;
}

export interface TuningConfig {
  /** One per path, those of args.cni instead of those of the network. */
  readonly sysctls: readonly SysctlWish[];
  readonly mac?: Mac;
  /** Bytes. */
  readonly mtu?: number;
  readonly isPromiscuous?: boolean;
  readonly isAllMulticast?: boolean;
  /** Packets. */
  readonly txQueueLength?: number;
}

type Members = Readonly<Record<string, unknown>>;

/** Where link settings come from, the later ones winning. */
interface Sources {
  readonly config: Members;
  readonly argsCni: Members;
}

const HIGHEST_MTU = 65_535;
const HIGHEST_QUEUE_LENGTH = 0xffff_ffff;

/**
 * Reads what is wanted. In a chain inside one plugin `mtu`, `mac` and the runtime's `mac` are the
 * main plugin's and do not count here. Throws ConfigError (CNI code 7).
 */
export function parseTuningConfig(request: Request): TuningConfig {
  const sources = { config: request.config, argsCni: argsCniOf(request.config) };
  return {
    sysctls: parseSysctls(request, sources),
    ...parsePromiscuous(sources),
    ...parseAllMulticast(sources),
    ...parseQueueLength(sources),
    ...(isSeparatePlugin(request) ? { ...parseMtu(sources), ...parseMacOf(request, sources) } : {}),
  };
}

/** Whether the chain is the runtime's and this member one plugin of it. */
export function isSeparatePlugin({ config }: Pick<Request, 'config'>): boolean {
  return memberOf(config, 'type') === 'tuning';
}

/** Whether anything is left to do. */
export function isEmptyTuning({ sysctls, ...link }: TuningConfig): boolean {
  return sysctls.length === 0 && Object.keys(link).length === 0;
}

function argsCniOf(config: Members): Members {
  const args = memberOf(config, 'args');
  const cni = isJsonObject(args) ? memberOf(args, 'cni') : undefined;
  return isJsonObject(cni) ? cni : {};
}

function wished({ config, argsCni }: Sources, key: string): unknown {
  return memberOf(argsCni, key) ?? memberOf(config, key);
}

function parseSysctls(request: Request, { config, argsCni }: Sources): readonly SysctlWish[] {
  const repeated = repeatedSysctl(request.stdin.toString('utf8'));
  if (repeated !== undefined) throw duplicate(repeated);
  const wishes = new Map<string, SysctlWish>();
  const sources = [
    ['sysctl', memberOf(config, 'sysctl')],
    ['args.cni.sysctl', memberOf(argsCni, 'sysctl')],
  ] as const;
  for (const [name, value = {}] of sources) {
    if (!isJsonObject(value)) throw new ConfigError(name, 'must be an object');
    for (const wish of parseSysctlObject(name, value, request.ifName)) wishes.set(wish.path, wish);
  }
  return [...wishes.values()];
}

/** Two spellings of one path would be applied in an order nobody chose. */
function parseSysctlObject(name: string, object: Members, ifName: string): readonly SysctlWish[] {
  const wishes = Object.entries(object).map(([key, value]) => {
    if (typeof value === 'string') return { key, path: sysctlPath(key, ifName), value };
    throw new ConfigError(`${name}.${key}`, `must be a string, not ${JSON.stringify(value)}`);
  });
  const second = wishes.find((wish, position) => {
    return wishes.findIndex(({ path }) => path === wish.path) < position;
  });
  if (second !== undefined) throw duplicate(second.key);
  return wishes;
}

function duplicate(key: string): ConfigError {
  return new ConfigError('sysctl', `duplicate sysctl key: ${JSON.stringify(key)}`);
}

/** `false` at the top level is Go's zero value and changes nothing; in args.cni it is a wish. */
function parsePromiscuous({ config, argsCni }: Sources): Pick<TuningConfig, 'isPromiscuous'> {
  const fromArgs = memberOf(argsCni, 'promisc');
  const value = fromArgs ?? memberOf(config, 'promisc') ?? false;
  if (typeof value !== 'boolean') throw new ConfigError('promisc', 'must be a boolean');
  return value || fromArgs !== undefined ? { isPromiscuous: value } : {};
}

/** Whatever is there is a wish, `false` too, as with the queue's length. */
function parseAllMulticast(sources: Sources): Pick<TuningConfig, 'isAllMulticast'> {
  const value = wished(sources, 'allmulti');
  if (value === undefined) return {};
  if (typeof value !== 'boolean') throw new ConfigError('allmulti', 'must be a boolean');
  return { isAllMulticast: value };
}

function parseQueueLength(sources: Sources): Pick<TuningConfig, 'txQueueLength'> {
  const length = wished(sources, 'txQLen');
  if (length === undefined) return {};
  const isCount = typeof length === 'number' && Number.isInteger(length) && length >= 0;
  if (isCount && length <= HIGHEST_QUEUE_LENGTH) return { txQueueLength: length };
  throw new ConfigError(
    'txQLen',
    `must be 0 to ${HIGHEST_QUEUE_LENGTH}, not ${JSON.stringify(length)}`,
  );
}

function parseMtu(sources: Sources): Pick<TuningConfig, 'mtu'> {
  const mtu = wished(sources, 'mtu') ?? 0;
  if (typeof mtu !== 'number' || !Number.isInteger(mtu) || mtu < 0 || mtu > HIGHEST_MTU) {
    throw new ConfigError('mtu', `must be 0 to ${HIGHEST_MTU}, not ${JSON.stringify(mtu)}`);
  }
  return mtu === 0 ? {} : { mtu };
}

/** args.cni before runtimeConfig before CNI_ARGS before the network, as the reference. */
function parseMacOf(request: Request, { config, argsCni }: Sources): Pick<TuningConfig, 'mac'> {
  const runtimeConfig = memberOf(config, 'runtimeConfig');
  const sources = [
    ['args.cni.mac', memberOf(argsCni, 'mac')],
    ['runtimeConfig.mac', isJsonObject(runtimeConfig) ? memberOf(runtimeConfig, 'mac') : ''],
    ['CNI_ARGS MAC', parseCniArgs(request.args).mac],
    ['mac', memberOf(config, 'mac')],
  ] as const;
  const [key, text] = sources.find(([, value]) => (value ?? '') !== '') ?? [];
  if (key === undefined) return {};
  if (typeof text !== 'string') throw new ConfigError(key, 'must be a string');
  try {
    return { mac: parseMac(text) };
  } catch (cause) {
    throw new ConfigError(key, `invalid mac address ${text}: ${toError(cause).message}`, { cause });
  }
}
