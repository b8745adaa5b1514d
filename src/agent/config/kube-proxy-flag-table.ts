import type { KeyPath } from './document.ts';
import { KUBE_PROXY_SETTINGS } from './kube-proxy-settings.ts';
import { type AnySetting, rowsOf, type SettingKind, shownDefault } from './setting.ts';

/** One kube-proxy flag and the configuration fields it sets. */
export interface FlagSpec {
  readonly name: string;
  readonly kind: 'text' | 'boolean' | 'number' | 'duration' | 'list' | 'gates';
  /** Empty for flags that are no configuration field. */
  readonly paths: readonly KeyPath[];
  readonly describe: string;
  /** What to use instead. */
  readonly deprecated?: string;
}

/** Flags of logging and of the process that configuration cannot change here. */
export const IGNORED_FLAGS: readonly string[] = [
  'alsologtostderr',
  'boot-id-file',
  'log-backtrace-at',
  'log-dir',
  'log-file',
  'log-file-max-size',
  'log-json-info-buffer-size',
  'log-json-split-stream',
  'log-text-info-buffer-size',
  'log-text-split-stream',
  'logtostderr',
  'machine-id-file',
  'one-output',
  'skip-headers',
  'skip-log-headers',
  'stderrthreshold',
];

/** Flags that count even beside --config. */
export const LOGGING_FLAGS: ReadonlySet<string> = new Set([
  'v',
  'vmodule',
  'logging-format',
  'log-flush-frequency',
]);

const KINDS: Readonly<Record<SettingKind, FlagSpec['kind']>> = {
  text: 'text',
  duration: 'duration',
  boolean: 'boolean',
  integer: 'number',
  number: 'number',
  list: 'list',
  gates: 'gates',
  words: 'list',
  other: 'text',
};

/** Every flag kube-proxy documents for Linux, in the order `--help` shows them. */
export const FLAGS: readonly FlagSpec[] = [
  flag('config', 'text', 'File with a KubeProxyConfiguration; other flags are then ignored'),
  flag('write-config-to', 'text', 'Write the effective configuration to this file and exit'),
  flag('cleanup', 'boolean', 'Remove what weft left in the kernel and exit'),
  flag('init-only', 'boolean', 'Do what needs full privileges (sysctls), then exit'),
  flag('master', 'text', 'API server URL; replaces the one in the kubeconfig'),
  ...settingFlags(),
  { ...flag('healthz-port', 'number', '0 turns it off'), deprecated: '--healthz-bind-address' },
  { ...flag('metrics-port', 'number', '0 turns it off'), deprecated: '--metrics-bind-address' },
  flag('vmodule', 'text', 'Accepted and ignored'),
];

/** A flag that is no field. */
function flag(name: string, kind: FlagSpec['kind'], describe: string): FlagSpec {
  return { name, kind, describe, paths: [] };
}

/** One flag may set a field of several sections. */
function settingFlags(): readonly FlagSpec[] {
  const flags = new Map<string, FlagSpec>();
  for (const { path, row } of rowsOf(KUBE_PROXY_SETTINGS)) {
    if (row.flag === undefined) continue;
    const { paths = [] } = flags.get(row.flag) ?? {};
    const describe = describeFlag(row);
    flags.set(row.flag, {
      name: row.flag,
      kind: KINDS[row.kind],
      describe,
      paths: [...paths, path],
    });
  }
  return [...flags.values()];
}

/** What a flag does, and what it is when it is not given. */
export function describeFlag(row: AnySetting): string {
  const shown = shownDefault(row);
  const words = row.flagText ?? row.describe;
  return shown === undefined ? words : `${words} [default: ${shown}]`;
}
