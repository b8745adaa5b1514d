import { LOG_LEVELS, type LogLevel } from '../../util/log.ts';
import { DEFAULT_CNI } from './default-directories.ts';
import { ETCD_SETTINGS } from './etcd-settings.ts';
import { FABRIC_SETTINGS } from './fabric-settings.ts';
import { lastText, texts } from './flag-text.ts';
import { OWN_SETTINGS } from './own-settings.ts';
import { POLICY_SETTINGS } from './policy-settings.ts';
import { ROUTING_SETTINGS } from './routing-settings.ts';
import { list, optional, schemaOf, text, word } from './setting.ts';

export const COMPONENTS = ['cni', 'proxy', 'fabric', 'policy', 'routing'] as const;
export type Component = (typeof COMPONENTS)[number];

/** What `weft agent` reads besides `proxy`, which is a KubeProxyConfiguration. */
export const AGENT_SETTINGS = {
  components: optional<Component>('words', 'What to run, separated by commas', {
    ...{ flag: 'components', choices: COMPONENTS, shown: 'cni,proxy' },
  }),
  nodeName: optional<string>('text', 'Name of this Node', {
    ...{ flag: 'node-name', shown: 'proxy.hostnameOverride, else the lower-cased hostname' },
  }),
  kubeconfig: optional<string>('text', 'How to reach the API server', {
    ...{
      flag: 'kubeconfig',
      shown: 'proxy.clientConnection.kubeconfig, else the service account of the pod',
    },
  }),
  apiServers: list([], 'URLs of API servers of the cluster, tried in turn', {
    ...{
      flag: 'api-server',
      shown:
        "that of kubeconfig; in a pod that of the kubelet's kubeconfig, then the Service's address",
    },
  }),
  kubelet: {
    kubeconfigs: list(
      ['/etc/kubernetes/kubelet.conf'],
      "Files of the host in which a pod looks for the kubelet's API server and its authority; the first counts. The manifests mount /etc/kubernetes",
    ),
    hostRoot: text('/', 'Where the files of the host are', { schema: { pattern: '^/' } }),
  },
  manifests: optional<string>(
    'text',
    'Directory of YAML or JSON objects to read instead of an API server',
    { flag: 'manifests' },
  ),
  etcd: ETCD_SETTINGS,
  serviceCIDRs: list([], 'Networks of Services, at which nothing answers but Services', {
    shown: 'what ServiceCIDR objects say, which go before it',
  }),
  runDir: optional<string>('text', 'Sockets and lock', {
    ...{ flag: 'run-dir', shown: '$WEFT_RUN_DIR, else /run/weft' },
  }),
  logLevel: word<LogLevel>(LOG_LEVELS, 'info', 'trace, debug, info, warn, error, fatal or silent', {
    flag: 'log-level',
    isLive: true,
  }),
  ...OWN_SETTINGS,
  cni: {
    ipamDirectory: text(
      DEFAULT_CNI.ipamDirectory,
      "host-local's address files, a folder per network",
    ),
    confDirectory: text(
      DEFAULT_CNI.confDirectory,
      "The runtime's network configurations, which may name other directories of addresses",
    ),
    binDirectory: optional<string>(
      'text',
      "The runtime's plugins, where weft answers as loopback if nobody else does",
      { shown: 'nothing is put there', schema: { pattern: '^/' } },
    ),
    criSocket: optional<string>('text', "The runtime's socket, asked for its sandboxes", {
      schema: { pattern: '^/' },
    }),
  },
  fabric: FABRIC_SETTINGS,
  policy: POLICY_SETTINGS,
  routing: ROUTING_SETTINGS,
} as const;

const own = schemaOf(AGENT_SETTINGS, 'agent-config.schema.json');
/** JSON schema of the file. */
export const AGENT_SCHEMA = {
  ...own,
  properties: { ...own.properties, proxy: { $ref: 'kube-proxy-config.schema.json' } },
};

/** What the flags of `weft agent` give, by the file's names; those of OwnSettings apart. */
export function agentFlagTexts(
  values: Readonly<Record<string, unknown>>,
): Readonly<Record<string, string>> {
  const given = Object.entries(AGENT_SETTINGS).flatMap(([key, entry]) => {
    const isText = 'flag' in entry && !(key in OWN_SETTINGS);
    if (!isText) return [];
    const value = values[entry.flag ?? ''];
    // A list may be given in several flags.
    const text = entry.kind === 'list' ? texts(value).join(',') || undefined : lastText(value);
    return text === undefined ? [] : [[key, text] as const];
  });
  return Object.fromEntries(given);
}
