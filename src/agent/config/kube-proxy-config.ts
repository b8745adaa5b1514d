/**
 * KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1) as a value: the fields of the file with
 * the file's names (kube-proxy-settings.ts), durations as Go strings, every default filled in.
 * proxy-settings.ts turns it into what the proxy works with.
 */
import { stringify } from 'yaml';
import { ConfigError } from '../../util/errors.ts';
import { type ConfigDocument, type Origin, parseConfigDocument } from './document.ts';
import { KUBE_PROXY_SETTINGS } from './kube-proxy-settings.ts';
import { createSchemaCheck } from './schema-check.ts';
import { fillTable, schemaOf, text, type ValuesOf } from './setting.ts';

const API_VERSION = 'kubeproxy.config.k8s.io/v1alpha1';
const KIND = 'KubeProxyConfiguration';

/** Every field with its value; those without effect are left out. */
export type KubeProxyConfiguration = {
  readonly apiVersion: string;
  readonly kind: string;
} & Omit<ValuesOf<typeof KUBE_PROXY_SETTINGS>, 'winkernel' | 'portRange' | 'windowsRunAsService'>;

/** The same tree as a user writes it: any part may be missing. */
export type Sparse<T> = {
  readonly [K in keyof T]?: T[K] extends readonly unknown[] | undefined
    ? T[K]
    : T[K] extends object
      ? Sparse<T[K]>
      : T[K];
};

export interface ParsedKubeProxyConfig {
  readonly config: KubeProxyConfiguration;
  readonly origin: Origin;
  /** Unknown and duplicate fields: accepted, as kube-proxy's lenient decoder does. */
  readonly warnings: readonly string[];
}

/** JSON schema of the file. */
export const KUBE_PROXY_SCHEMA = schemaOf(
  { apiVersion: text('', ''), kind: text('', ''), ...KUBE_PROXY_SETTINGS },
  'kube-proxy-config.schema.json',
);
const findDeviations = createSchemaCheck(KUBE_PROXY_SCHEMA);

/**
 * Parses a kube-proxy configuration file. Unknown and duplicate fields become warnings; a value
 * of the wrong type, or another apiVersion or kind, throws ConfigError naming file, line and key.
 */
export function parseKubeProxyConfig(text: string, file: string): ParsedKubeProxyConfig {
  const document = parseConfigDocument(text, file);
  requireKind(document, file);
  const deviations = findDeviations(document.value);
  const wrong = deviations.find((deviation) => deviation.kind === 'wrongValue');
  if (wrong !== undefined) {
    throw new ConfigError(wrong.path.join('.'), `${document.origin(wrong.path)}: ${wrong.reason}`);
  }
  const warnings = [
    ...deviations.map((deviation) => `${document.origin(deviation.path)}: ${deviation.reason}`),
    ...document.duplicates.map(
      (path) => `${document.origin(path)}: duplicate key, the last counts`,
    ),
  ];
  // The schema check above has found every field to be of its type.
  const sparse = document.value as Sparse<KubeProxyConfiguration>;
  return { config: fillDefaults(sparse), origin: document.origin, warnings };
}

/** The configuration as a YAML file that parseKubeProxyConfig reads back to an equal value. */
export function renderKubeProxyConfig(config: KubeProxyConfiguration): string {
  return stringify(config);
}

/**
 * Fills every field left out with kube-proxy's default. As there (defaults.go), zero durations of
 * the sync periods count as left out, and in a file of kube-proxy empty addresses of servers do.
 */
export function fillDefaults(sparse: Sparse<KubeProxyConfiguration>): KubeProxyConfiguration {
  const isKubeProxyFile = sparse.kind !== undefined || sparse.apiVersion !== undefined;
  const given = isKubeProxyFile ? withoutEmptyServers(sparse) : sparse;
  const filled = fillTable(KUBE_PROXY_SETTINGS, given);
  // The table is what the type is made of.
  return { apiVersion: API_VERSION, kind: KIND, ...filled } as KubeProxyConfiguration;
}

/**
 * kube-proxy's decoder cannot tell "" from nothing, and kubeadm writes "" for both addresses
 * (kubernetes issue 65118): taken for "off", such a file would leave a node without health checks.
 */
function withoutEmptyServers({
  healthzBindAddress,
  metricsBindAddress,
  ...others
}: Sparse<KubeProxyConfiguration>): Sparse<KubeProxyConfiguration> {
  return {
    ...others,
    ...(healthzBindAddress ? { healthzBindAddress } : {}),
    ...(metricsBindAddress ? { metricsBindAddress } : {}),
  };
}

function requireKind(document: ConfigDocument, file: string): void {
  const root = typeof document.value === 'object' && document.value !== null ? document.value : {};
  const apiVersion = 'apiVersion' in root ? root.apiVersion : undefined;
  const kind = 'kind' in root ? root.kind : undefined;
  if (apiVersion !== API_VERSION) {
    const found = JSON.stringify(apiVersion) ?? 'nothing';
    throw new ConfigError(
      'apiVersion',
      `${file}: apiVersion: expected ${API_VERSION}, found ${found}`,
    );
  }
  if (kind !== KIND) {
    const found = JSON.stringify(kind) ?? 'nothing';
    throw new ConfigError('kind', `${file}: kind: expected ${KIND}, found ${found}`);
  }
}
