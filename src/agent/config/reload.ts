import { isDeepStrictEqual } from 'node:util';
import type { AgentConfig } from './agent-config.ts';
import type { KeyPath } from './document.ts';
import { FABRIC_SETTINGS } from './fabric-settings.ts';
import type { KubeProxyConfiguration } from './kube-proxy-config.ts';
import { KUBE_PROXY_SETTINGS } from './kube-proxy-settings.ts';
import { POLICY_SETTINGS } from './policy-settings.ts';
import { resolveProxySettings } from './proxy-settings.ts';
import { ROUTING_SETTINGS } from './routing-settings.ts';
import { type SettingTable, settingAt } from './setting.ts';

/** The file a configuration came from, to be read again with the same flags. */
export interface ConfigSource {
  readonly path: string;
  /** Throws ConfigError when the file is wrong, IoError when it cannot be read. */
  read(): AgentConfig;
}

export interface ReloadPlan {
  /** What to run with from now on. */
  readonly config: AgentConfig;
  /** Keys whose new value it has. */
  readonly applied: readonly string[];
  /** Keys whose old value it keeps until the agent starts again. */
  readonly kept: readonly string[];
}

/** Settings outside of KubeProxyConfiguration that need a new start, by the names users know. */
const FIXED_SETTINGS = [
  ['components', 'components'],
  ['nodeName', 'nodeName'],
  ['kubeconfig, apiServers, kubelet, manifests or etcd', 'source'],
  ['runDir', 'runDir'],
  ['serviceCIDRs', 'serviceCIDRs'],
  ['cni', 'cni'],
] as const;

type SectionKey = 'fabric' | 'policy' | 'routing';

/** Sections whose rows say what a running agent takes over. */
const SECTIONS: readonly { readonly key: SectionKey; readonly table: SettingTable }[] = [
  { key: 'fabric', table: FABRIC_SETTINGS },
  { key: 'policy', table: POLICY_SETTINGS },
  { key: 'routing', table: ROUTING_SETTINGS },
];

/**
 * What a changed file means for a running agent: fields that can change under it are taken over,
 * the others stay as they are. Throws ConfigError when the mixture is not valid.
 */
export function planReload(running: AgentConfig, wanted: AgentConfig): ReloadPlan {
  const paths = differences(running.kubeProxy, wanted.kubeProxy, []);
  const live = paths.filter((path) => isLive(KUBE_PROXY_SETTINGS, path));
  const sections = SECTIONS.map(({ key, table }) => planSection(running, wanted, key, table));
  const kubeProxy = live.reduce(
    // Copying a leaf between two trees of one type keeps the type.
    (tree, path) => copyLeaf(tree, wanted.kubeProxy, path) as KubeProxyConfiguration,
    running.kubeProxy,
  );
  const isLevelNew = running.logLevel !== wanted.logLevel;
  const named = [...live.map(nameOf), ...sections.flatMap(({ applied }) => applied)];
  return {
    config: {
      ...running,
      ...Object.assign({}, ...sections.map(({ changed }) => changed)),
      kubeProxy,
      logLevel: wanted.logLevel,
      proxy: resolveProxySettings(kubeProxy, (path) => path.join('.')),
    },
    applied: isLevelNew && !named.some(isLogging) ? ['logLevel', ...named] : named,
    kept: [
      ...FIXED_SETTINGS.filter(([, key]) => !isDeepStrictEqual(running[key], wanted[key])).map(
        ([name]) => name,
      ),
      ...differences(running.own, wanted.own, []).map(nameOf),
      ...sections.flatMap(({ kept }) => kept),
      ...paths.filter((path) => !live.includes(path)).map(nameOf),
    ],
  };
}

function isLive(settings: SettingTable, path: KeyPath): boolean {
  return settingAt(settings, path)?.isLive === true;
}

function nameOf(path: KeyPath): string {
  return path.join('.');
}

/** Of one section: what is taken over, and its value with that. */
function planSection(
  running: AgentConfig,
  wanted: AgentConfig,
  key: SectionKey,
  table: SettingTable,
): Pick<ReloadPlan, 'applied' | 'kept'> & { readonly changed: Partial<AgentConfig> } {
  const paths = differences(running[key], wanted[key], []);
  const live = paths.filter((path) => isLive(table, path));
  const value = live.reduce<unknown>(
    (tree, path) => copyLeaf(tree, wanted[key], path),
    running[key],
  );
  const names = (some: readonly KeyPath[]) => some.map((path) => nameOf([key, ...path]));
  return {
    // Copying a leaf between two trees of one type keeps the type.
    changed: { [key]: value } as Partial<AgentConfig>,
    applied: names(live),
    kept: names(paths.filter((path) => !live.includes(path))),
  };
}

function isLogging(name: string): boolean {
  return name.startsWith('logging.');
}

/** Paths of the leaves (lists are leaves) in which two trees differ. */
function differences(left: unknown, right: unknown, path: KeyPath): readonly KeyPath[] {
  if (!isTree(left) || !isTree(right)) return isDeepStrictEqual(left, right) ? [] : [path];
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].flatMap((key) => differences(left[key], right[key], [...path, key]));
}

/** `into` with the leaf at `path` as `from` has it, which may be: not at all. */
function copyLeaf(into: unknown, from: unknown, [step, ...rest]: KeyPath): unknown {
  if (step === undefined || !isTree(from)) return from;
  const { [step]: old, ...others } = isTree(into) ? into : {};
  const value = copyLeaf(old, from[step], rest);
  return value === undefined ? others : { ...(isTree(into) ? into : {}), [step]: value };
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
