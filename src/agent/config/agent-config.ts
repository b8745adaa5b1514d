import { posix } from 'node:path';
import type { Cidr } from '../../net/cidr.ts';
import { ConfigError } from '../../util/errors.ts';
import { LOG_LEVELS, type LogLevel } from '../../util/log.ts';
import { AGENT_SCHEMA, type AGENT_SETTINGS, COMPONENTS, type Component } from './agent-settings.ts';
import { DEFAULT_CNI } from './default-directories.ts';
import { type KeyPath, type Origin, parseConfigDocument } from './document.ts';
import type { EtcdSettings } from './etcd-settings.ts';
import { type FabricSettings, resolveFabricSettings } from './fabric-settings.ts';
import {
  fillDefaults,
  KUBE_PROXY_SCHEMA,
  type KubeProxyConfiguration,
  type Sparse,
} from './kube-proxy-config.ts';
import type { KubeProxyOptions } from './kube-proxy-flags.ts';
import { type ConfigFile, layered } from './layers.ts';
import { suggestion } from './nearest.ts';
import { type OwnSettings, resolveOwnSettings } from './own-settings.ts';
import { type PolicySettings, resolvePolicySettings } from './policy-settings.ts';
import { type ProxySettings, resolveProxySettings } from './proxy-settings.ts';
import { type RoutingSettings, resolveRoutingSettings } from './routing-settings.ts';
import { createSchemaCheck } from './schema-check.ts';
import type { ValuesOf } from './setting.ts';
import { SettingsReader } from './settings-reader.ts';
import {
  chooseSource,
  NO_KUBELET,
  type ObjectSourceSettings,
  type SourceFile,
} from './source-settings.ts';

export type { Component } from './agent-settings.ts';

const DEFAULT_COMPONENTS: readonly Component[] = ['cni', 'proxy'];

export type CniSettings = ValuesOf<typeof AGENT_SETTINGS.cni>;

export interface AgentConfig {
  readonly components: ReadonlySet<Component>;
  readonly nodeName: string;
  readonly source: ObjectSourceSettings;
  readonly runDir: string;
  /** Where no ServiceCIDR object says it. */
  readonly serviceCIDRs: readonly Cidr[];
  readonly logLevel: LogLevel;
  /** Set up what needs full privileges, then exit. */
  readonly isInitOnly: boolean;
  readonly proxy: ProxySettings;
  readonly own: OwnSettings;
  readonly cni: CniSettings;
  readonly fabric: FabricSettings;
  readonly policy: PolicySettings;
  readonly routing: RoutingSettings;
  /** The proxy's configuration by kube-proxy's names. */
  readonly kubeProxy: KubeProxyConfiguration;
  /** For the log, once there is one. */
  readonly warnings: readonly string[];
}

/** What the process learns from its surroundings, as values. */
export interface Surroundings {
  readonly hostname: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Flags of `weft agent`; each replaces the file's setting of the same name. */
export interface AgentFlags {
  readonly components?: string;
  readonly nodeName?: string;
  readonly kubeconfig?: string;
  /** URLs, separated by commas. */
  readonly apiServers?: string;
  readonly manifests?: string;
  readonly etcd?: Partial<EtcdSettings>;
  readonly runDir?: string;
  readonly logLevel?: string;
  /** Replaces `proxy.mode`. */
  readonly proxyMode?: string;
  readonly isInitOnly?: boolean;
  readonly own?: Partial<OwnSettings>;
}

interface AgentFile extends Partial<OwnSettings>, SourceFile {
  readonly components?: readonly Component[];
  readonly nodeName?: string;
  readonly runDir?: string;
  readonly serviceCIDRs?: readonly string[];
  readonly logLevel?: LogLevel;
  readonly proxy?: Sparse<KubeProxyConfiguration>;
  readonly cni?: Partial<CniSettings>;
  readonly fabric?: Parameters<typeof resolveFabricSettings>[0];
  readonly policy?: Parameters<typeof resolvePolicySettings>[0];
  readonly routing?: Parameters<typeof resolveRoutingSettings>[0];
}

const findDeviations = createSchemaCheck(AGENT_SCHEMA, [KUBE_PROXY_SCHEMA]);

/**
 * The configuration of `weft agent`: flags over `files`, a later one over an earlier one, over
 * defaults. Throws ConfigError that names the flag, or file, line and key; unlike in kube-proxy's own
 * file, unknown and duplicate keys are errors too.
 */
export function resolveAgentConfig(
  flags: AgentFlags,
  files: readonly ConfigFile[],
  surroundings: Surroundings,
): AgentConfig {
  const { settings, origin } = parseAgentFiles(files);
  const { proxyMode } = flags;
  const mode = proxyMode === undefined ? {} : { mode: proxyMode };
  const kubeProxy = fillDefaults({ ...settings.proxy, ...mode });
  const components = chooseComponents(flags.components, settings.components);
  const inProxy = (path: KeyPath) =>
    path[0] === 'mode' && proxyMode !== undefined ? '--proxy-mode' : origin(['proxy', ...path]);
  const nodeName = flags.nodeName ?? settings.nodeName ?? kubeProxy.hostnameOverride;
  return {
    components,
    nodeName: chooseNodeName(
      nodeName,
      flags.nodeName === undefined ? 'nodeName' : '--node-name',
      surroundings,
    ),
    source: chooseSource({ flags, file: settings, components, surroundings, origin }),
    runDir: chooseRunDir(flags.runDir ?? settings.runDir, surroundings),
    serviceCIDRs: readServiceCIDRs(settings.serviceCIDRs ?? [], origin),
    logLevel: chooseLogLevel(flags.logLevel) ?? settings.logLevel ?? 'info',
    isInitOnly: flags.isInitOnly === true,
    proxy: resolveProxySettings(kubeProxy, inProxy),
    own: resolveOwnSettings(flags.own ?? {}, settings, origin),
    cni: { ...DEFAULT_CNI, ...settings.cni },
    fabric: resolveFabricSettings(settings.fabric ?? {}, origin),
    policy: resolvePolicySettings(settings.policy ?? {}, origin),
    routing: resolveRoutingSettings(settings.routing ?? {}, origin),
    kubeProxy,
    warnings: [],
  };
}

/** The agent that `weft proxy` is: kube-proxy's options and ours, and only the proxy component. */
export function agentConfigFromKubeProxy(
  options: KubeProxyOptions,
  own: Partial<OwnSettings>,
  surroundings: Surroundings,
  runDir?: string,
): AgentConfig {
  const { config, origin, master } = options;
  const kubeconfig = config.clientConnection.kubeconfig || undefined;
  return {
    components: new Set(['proxy']),
    nodeName: chooseNodeName(config.hostnameOverride, origin(['hostnameOverride']), surroundings),
    source: {
      kind: 'apiServer',
      kubeconfig,
      servers: master === undefined ? [] : [master],
      ...NO_KUBELET,
    },
    runDir: chooseRunDir(runDir, surroundings),
    serviceCIDRs: [],
    logLevel: levelOfVerbosity(config.logging.verbosity),
    isInitOnly: options.isInitOnly,
    proxy: resolveProxySettings(config, origin),
    own: resolveOwnSettings(own, {}, origin),
    cni: DEFAULT_CNI,
    fabric: resolveFabricSettings({}, origin),
    policy: resolvePolicySettings({}, origin),
    routing: resolveRoutingSettings({}, origin),
    kubeProxy: config,
    warnings: options.warnings,
  };
}

function parseAgentFiles(files: readonly ConfigFile[]): { settings: AgentFile; origin: Origin } {
  const documents = files.map(({ path, text }) => parseConfigDocument(text, path));
  const problems = documents.flatMap(({ value, origin, duplicates }) => {
    const repeated = duplicates.map((key) => ({ path: key, reason: 'duplicate key' }));
    return [...findDeviations(value), ...repeated].map((problem) => ({ ...problem, origin }));
  });
  const [first] = problems;
  if (first !== undefined) {
    const lines = problems.map(({ path, reason, origin }) => `${origin(path)}: ${reason}`);
    throw new ConfigError(first.path.join('.'), lines.join('\n'));
  }
  const { value, origin } = layered(documents);
  // The schema check above has found every field to be of its type.
  return { settings: value as AgentFile, origin };
}

function readServiceCIDRs(texts: readonly string[], origin: Origin): readonly Cidr[] {
  const reader = new SettingsReader(origin);
  const cidrs = reader.cidrs(['serviceCIDRs'], texts);
  reader.throwProblems();
  return cidrs;
}

function chooseComponents(
  flag: string | undefined,
  fromFile: readonly Component[] | undefined,
): ReadonlySet<Component> {
  if (flag === undefined) return together(new Set(fromFile ?? DEFAULT_COMPONENTS));
  const words = flag.split(',').map((word) => word.trim());
  return together(new Set(words.map((word) => chooseWord('--components', word, COMPONENTS))));
}

/** Policies are about pods, which only the CNI of the same agent knows in time. */
function together(components: ReadonlySet<Component>): ReadonlySet<Component> {
  if (!components.has('policy') || components.has('cni')) return components;
  const reason = 'policy needs cni beside it: pods start once their policies hold';
  throw new ConfigError('components', `components: ${reason}`);
}

function chooseLogLevel(flag: string | undefined): LogLevel | undefined {
  return flag === undefined ? undefined : chooseWord('--log-level', flag, LOG_LEVELS);
}

function chooseWord<T extends string>(flag: string, word: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === word);
  if (found !== undefined) return found;
  const reason = `expected ${allowed.join(', ')}, found "${word}"${suggestion(word, allowed)}`;
  throw new ConfigError(flag, `${flag}: ${reason}`);
}

/** Follows nodeutil.GetHostname: an override counts when it is set, trimmed and lower-cased. */
function chooseNodeName(override: string, source: string, { hostname }: Surroundings): string {
  const name = (override === '' ? hostname : override).trim().toLowerCase();
  if (name !== '') return name;
  throw new ConfigError(source, `${source}: the node's name must not be blank`);
}

function chooseRunDir(configured: string | undefined, { environment }: Surroundings): string {
  const path = configured ?? (environment['WEFT_RUN_DIR'] || '/run/weft');
  if (posix.isAbsolute(path)) return posix.normalize(path);
  throw new ConfigError('runDir', `run directory "${path}": expected an absolute path`);
}

/** The level that klog's `-v` stands for. */
export function levelOfVerbosity(verbosity: number): LogLevel {
  if (verbosity >= 6) return 'trace';
  return verbosity >= 4 ? 'debug' : 'info';
}
