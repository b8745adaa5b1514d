/** kube-proxy's command line (cmd/kube-proxy/app/options.go), flag by flag. */

import { formatHostPort } from '../../net/host-port.ts';
import { ConfigError } from '../../util/errors.ts';
import type { KeyPath, Origin } from './document.ts';
import { lastText, texts } from './flag-text.ts';
import { parseGoDuration } from './go-duration.ts';
import {
  fillDefaults,
  type KubeProxyConfiguration,
  parseKubeProxyConfig,
  type Sparse,
} from './kube-proxy-config.ts';
import { FLAGS, type FlagSpec, IGNORED_FLAGS, LOGGING_FLAGS } from './kube-proxy-flag-table.ts';

/** Flag values as the command line has them: text, several texts for a repeated flag, or a boolean. */
export type FlagValues = Readonly<Record<string, unknown>>;

export interface KubeProxyOptions {
  readonly config: KubeProxyConfiguration;
  readonly origin: Origin;
  readonly warnings: readonly string[];
  /** API server address that replaces the kubeconfig's (`--master`). */
  readonly master: string | undefined;
  /** Where to write the effective configuration instead of running. */
  readonly writeConfigTo: string | undefined;
  readonly isCleanup: boolean;
  readonly isInitOnly: boolean;
}

/**
 * Turns flags into a configuration. With `--config`, read through `readFile`, the file decides
 * and flags are ignored with a warning, except --hostname-override and the logging ones.
 * Throws ConfigError naming the flag, or the file and key.
 */
export function readKubeProxyOptions(
  values: FlagValues,
  readFile: (path: string) => string,
): KubeProxyOptions {
  const file = lastText(values['config']);
  const given = FLAGS.filter((flag) => values[flag.name] !== undefined);
  const parsed =
    file === undefined
      ? { ...configFromFlags(given, values), warnings: [] }
      : configFromFile(file, readFile(file), given, values);
  return {
    ...parsed,
    warnings: [...parsed.warnings, ...ignoredWarnings(values)],
    master: lastText(values['master']),
    writeConfigTo: lastText(values['write-config-to']),
    isCleanup: values['cleanup'] === true,
    isInitOnly: values['init-only'] === true,
  };
}

function configFromFile(
  file: string,
  text: string,
  given: readonly FlagSpec[],
  values: FlagValues,
): { config: KubeProxyConfiguration; origin: Origin; warnings: readonly string[] } {
  const parsed = parseKubeProxyConfig(text, file);
  const isHonoured = (flag: FlagSpec) =>
    LOGGING_FLAGS.has(flag.name) || flag.name === 'hostname-override';
  const honoured = given.filter(isHonoured);
  const isSetting = (flag: FlagSpec) => flag.paths.length > 0 || flag.deprecated !== undefined;
  const ignored = given.filter((flag) => isSetting(flag) && !isHonoured(flag));
  const flagOrigin = originOfFlags(honoured);
  return {
    config: overlay(parsed.config, sparseFrom(honoured, values)),
    origin: (path) => flagOrigin(path) ?? parsed.origin(path),
    warnings: [
      ...parsed.warnings,
      ...ignored.map((flag) => `--${flag.name} is ignored because --config is given`),
    ],
  };
}

function configFromFlags(
  given: readonly FlagSpec[],
  values: FlagValues,
): { config: KubeProxyConfiguration; origin: Origin } {
  const sparse = sparseFrom(given, values);
  const { bindAddress } = sparse;
  const defaults = fillDefaults(bindAddress === undefined ? {} : { bindAddress });
  const flagOrigin = originOfFlags(given);
  return {
    config: applyDeprecatedPorts(overlay(defaults, sparse), values),
    origin: (path) => flagOrigin(path) ?? `--${nameOfPath(path)}`,
  };
}

/**
 * --healthz-port and --metrics-port: 0 turns the server off, another number applies unless the
 * address flag names a port itself.
 */
function applyDeprecatedPorts(
  config: KubeProxyConfiguration,
  values: FlagValues,
): KubeProxyConfiguration {
  const port = (flag: string, address: string, isAddressGiven: boolean) => {
    const text = lastText(values[flag]);
    if (text === undefined || address === '') return address;
    const number = parseNumber(flag, text);
    if (number === 0) return '';
    if (!isAddressGiven) return address.replace(/:\d+$/, `:${number}`);
    if (/^(\[.*\]|[^:]*):\d+$/.test(address)) return address;
    return formatHostPort(address, number);
  };
  const hasHealthz = values['healthz-bind-address'] !== undefined;
  const hasMetrics = values['metrics-bind-address'] !== undefined;
  return {
    ...config,
    healthzBindAddress: port('healthz-port', config.healthzBindAddress, hasHealthz),
    metricsBindAddress: port('metrics-port', config.metricsBindAddress, hasMetrics),
  };
}

function sparseFrom(
  flags: readonly FlagSpec[],
  values: FlagValues,
): Sparse<KubeProxyConfiguration> {
  const root: Record<string, unknown> = {};
  for (const flag of flags) {
    const value = settingOf(flag, values[flag.name]);
    for (const path of flag.paths) setAt(root, path, value);
  }
  // The flag table pairs every path with the kind of its field; its test compares both.
  return root as Sparse<KubeProxyConfiguration>;
}

function settingOf(flag: FlagSpec, given: unknown): unknown {
  const text = lastText(given) ?? '';
  switch (flag.kind) {
    case 'boolean':
      return given === true;
    case 'number':
      return parseNumber(flag.name, text);
    case 'duration':
      return checkedDuration(flag.name, text);
    case 'list':
      return texts(given).flatMap((item) => (item === '' ? [] : item.split(',')));
    case 'gates':
      return Object.fromEntries(texts(given).flatMap((item) => parseGates(flag.name, item)));
    default:
      return text;
  }
}

function parseNumber(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new ConfigError(flag, `--${flag}: expected a number, found "${text}"`);
}

function checkedDuration(flag: string, text: string): string {
  if (parseGoDuration(text) !== undefined) return text;
  const reason = `expected a duration such as 30s or 1h30m, found "${text}"`;
  throw new ConfigError(flag, `--${flag}: ${reason}`);
}

function parseGates(flag: string, text: string): [string, boolean][] {
  const entries = text.split(',').filter((entry) => entry !== '');
  return entries.map((entry) => {
    const [, gate, isOn] = /^([A-Za-z0-9]+)=(true|false)$/i.exec(entry.trim()) ?? [];
    if (gate !== undefined && isOn !== undefined) return [gate, isOn.toLowerCase() === 'true'];
    throw new ConfigError(flag, `--${flag}: expected Gate=true or Gate=false, found "${entry}"`);
  });
}

function setAt(root: Record<string, unknown>, path: KeyPath, value: unknown): void {
  const [step, ...rest] = path;
  if (step === undefined) return;
  if (rest.length === 0) {
    root[step] = value;
    return;
  }
  const child = root[step];
  const branch: Record<string, unknown> = isRecord(child) ? child : {};
  root[step] = branch;
  setAt(branch, rest, value);
}

/** `base` with every leaf that `sparse` gives; lists are replaced, not merged. */
function overlay(
  base: KubeProxyConfiguration,
  sparse: Sparse<KubeProxyConfiguration>,
): KubeProxyConfiguration {
  // Merging leaves of the same type into a complete tree leaves a complete tree.
  return mergeTrees(base, sparse) as KubeProxyConfiguration;
}

function mergeTrees(base: unknown, over: unknown): unknown {
  if (!isRecord(base) || !isRecord(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) merged[key] = mergeTrees(merged[key], value);
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The flag that wrote a setting: the one whose path is `path` or leads to it. */
function originOfFlags(given: readonly FlagSpec[]): (path: KeyPath) => string | undefined {
  return (path) => {
    const flag = given.find((spec) => spec.paths.some((own) => leadsTo(own, path)));
    return flag && `--${flag.name}`;
  };
}

function nameOfPath(path: KeyPath): string {
  const flag = FLAGS.find((spec) => spec.paths.some((own) => leadsTo(own, path)));
  return flag?.name ?? path.join('.');
}

function leadsTo(prefix: KeyPath, path: KeyPath): boolean {
  return prefix.every((step, index) => path[index] === step);
}

function ignoredWarnings(values: FlagValues): readonly string[] {
  return IGNORED_FLAGS.filter((name) => values[name] !== undefined).map(
    (name) => `--${name} is accepted for compatibility and has no effect`,
  );
}
