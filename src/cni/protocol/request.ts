/**
 * The front end of the CNI protocol: environment and stdin to a request. The order of the checks
 * and their texts follow libcni's pkg/skel and pkg/utils, because runtimes grep them.
 */
import { CNI_ERROR_CODE, CniError } from './errors.ts';
import { isJsonObject, memberOf } from './json.ts';
import { checkVersion, isAtLeast, type SpecVersion } from './versions.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export type Verb = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS';

/** One validated call. Strings that the verb does not use may be empty. */
export interface Request {
  readonly verb: Verb;
  readonly containerId: string;
  /** Path as given; empty when DEL came without one. */
  readonly netnsPath: string;
  readonly ifName: string;
  /** CNI_ARGS as given, not yet split. */
  readonly args: string;
  readonly path: readonly string[];
  /** CNI_NETNS_OVERRIDE: acting on the plugin's own namespace is allowed. */
  readonly mayUseOwnNetns: boolean;
  readonly cniVersion: SpecVersion;
  readonly network: string;
  /** The network configuration as decoded JSON, keys as written. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Environment and stdin as received, for plugins that are called in turn. */
  readonly env: Environment;
  readonly stdin: Buffer;
}

/** What CNI_COMMAND asked for, before stdin is read. */
export type Call =
  | { readonly kind: 'about' }
  | { readonly kind: 'version' }
  | { readonly kind: 'verb'; readonly command: string };

interface Variable {
  readonly name: string;
  readonly neededBy: readonly Verb[];
  readonly validate?: (value: string) => void;
}

const VARIABLES: readonly Variable[] = [
  {
    name: 'CNI_CONTAINERID',
    neededBy: ['ADD', 'CHECK', 'DEL'],
    validate: validateContainerId,
  },
  { name: 'CNI_NETNS', neededBy: ['ADD', 'CHECK'] },
  { name: 'CNI_IFNAME', neededBy: ['ADD', 'CHECK', 'DEL'], validate: validateInterfaceName },
  { name: 'CNI_PATH', neededBy: ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS'] },
];

const VERBS: readonly Verb[] = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS'];

/** Longest accepted network configuration, bytes. */
export const MAX_STDIN_BYTES = 4 * 1024 * 1024;

/** First step: which verb, and whether its variables are there (code 4 naming all that are not). */
export function parseCall(env: Environment): Call {
  const command = env['CNI_COMMAND'] ?? '';
  if (command === '') return { kind: 'about' };
  if (command === 'VERSION') return { kind: 'version' };
  const missing: string[] = [];
  for (const { name, neededBy, validate } of VARIABLES) {
    if (!neededBy.some((verb) => verb === command)) continue;
    const value = env[name] ?? '';
    if (value === '') missing.push(name);
    else validate?.(value);
  }
  if (missing.length > 0) {
    throw environmentError(`required env variables [${missing.join(',')}] missing`);
  }
  return { kind: 'verb', command };
}

/** Second step: stdin to a request. Codes 6, 7, 4 and 1, in the order libcni's skel finds them. */
export function parseRequest(command: string, env: Environment, stdin: Buffer): Request {
  const config = parseNetworkConfig(stdin);
  const network = parseNetworkName(config);
  const verb = VERBS.find((candidate) => candidate === command);
  if (verb === undefined) throw environmentError(`unknown CNI_COMMAND: ${command}`);
  const override = env['CNI_NETNS_OVERRIDE'] ?? '';
  return {
    verb,
    containerId: env['CNI_CONTAINERID'] ?? '',
    netnsPath: env['CNI_NETNS'] ?? '',
    ifName: env['CNI_IFNAME'] ?? '',
    args: env['CNI_ARGS'] ?? '',
    path: (env['CNI_PATH'] ?? '').split(':').filter((directory) => directory !== ''),
    mayUseOwnNetns: override.toUpperCase() === 'TRUE' || override === '1',
    cniVersion: parseVersion(verb, config),
    network,
    config,
    env,
    stdin,
  };
}

/** The version an error may carry: the configuration's own when it can be made out and is known. */
export function guessVersion(stdin: Buffer): SpecVersion | undefined {
  try {
    return checkVersion(versionText(parseNetworkConfig(stdin)));
  } catch {
    return undefined;
  }
}

/** Kernel limits on interface names, with the texts of libcni's ValidateInterfaceName. */
export function interfaceNameProblem(name: string): { text: string; details?: string } | undefined {
  if (name === '') return { text: 'interface name is empty' };
  if (Buffer.byteLength(name) > 15) {
    return {
      text: 'interface name is too long',
      details: 'interface name should be less than 16 characters',
    };
  }
  if (name === '.' || name === '..') return { text: 'interface name is . or ..' };
  if (/[/:\s\u0085]/u.test(name)) {
    return { text: 'interface name contains / or : or whitespace characters' };
  }
  return undefined;
}

function validateContainerId(value: string): void {
  if (!isIdentifier(value)) throw environmentError('invalid characters in containerID', value);
}

function validateInterfaceName(name: string): void {
  const problem = interfaceNameProblem(name);
  if (problem !== undefined) throw environmentError(problem.text, problem.details);
}

function isIdentifier(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text);
}

function environmentError(message: string, details?: string): CniError {
  return new CniError(CNI_ERROR_CODE.invalidEnvironment, message, details);
}

function parseNetworkConfig(stdin: Buffer): Readonly<Record<string, unknown>> {
  if (stdin.length > MAX_STDIN_BYTES) {
    throw new CniError(
      CNI_ERROR_CODE.ioFailure,
      `error reading from stdin: more than ${MAX_STDIN_BYTES} bytes`,
    );
  }
  const value = decode(stdin.toString('utf8'));
  if (value === null) return {};
  if (isJsonObject(value)) return value;
  throw new CniError(
    CNI_ERROR_CODE.decodingFailure,
    'error unmarshall network config: the configuration is not a JSON object',
  );
}

function decode(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    const reason = text.trim() === '' ? 'unexpected end of JSON input' : String(thrown);
    throw new CniError(
      CNI_ERROR_CODE.decodingFailure,
      `error unmarshall network config: ${reason}`,
      undefined,
      { cause: thrown },
    );
  }
}

function parseNetworkName(config: Readonly<Record<string, unknown>>): string {
  const name = memberOf(config, 'name') ?? '';
  if (name === '') {
    throw new CniError(CNI_ERROR_CODE.invalidNetworkConfig, 'missing network name');
  }
  if (typeof name !== 'string') throw wrongType('name', name);
  if (!isIdentifier(name)) {
    throw new CniError(
      CNI_ERROR_CODE.invalidNetworkConfig,
      'invalid characters found in network name',
      name,
    );
  }
  return name;
}

/** CHECK, GC and STATUS exist only since 0.4.0 and 1.1.0: that is looked at before membership. */
function parseVersion(verb: Verb, config: Readonly<Record<string, unknown>>): SpecVersion {
  const version = versionText(config);
  if (verb === 'CHECK' || verb === 'GC' || verb === 'STATUS') {
    if (!isAtLeast(version, verb === 'CHECK' ? '0.4.0' : '1.1.0')) {
      throw new CniError(
        CNI_ERROR_CODE.incompatibleVersion,
        `config version does not allow ${verb}`,
      );
    }
  }
  return checkVersion(version);
}

/** A configuration without a version is 0.1.0 (libcni create.DecodeVersion). */
function versionText(config: Readonly<Record<string, unknown>>): string {
  const version = memberOf(config, 'cniVersion') ?? '';
  if (typeof version !== 'string') throw wrongType('cniVersion', version);
  return version === '' ? '0.1.0' : version;
}

function wrongType(key: string, value: unknown): CniError {
  return new CniError(
    CNI_ERROR_CODE.invalidNetworkConfig,
    `invalid network configuration: key "${key}" must be string`,
    `got ${JSON.stringify(value)}`,
  );
}
