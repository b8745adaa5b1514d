import { LOG_LEVELS, type LogLevel } from '../../util/log.ts';
import { FABRIC_SETTINGS } from './fabric-settings.ts';
import { lastText } from './flag-text.ts';
import { OWN_SETTINGS } from './own-settings.ts';
import { optional, schemaOf, text, word } from './setting.ts';

export const COMPONENTS = ['cni', 'proxy', 'fabric'] as const;
export type Component = (typeof COMPONENTS)[number];

/** What `weft agent` reads besides `proxy`, which is a KubeProxyConfiguration. */
export const AGENT_SETTINGS = {
  components: optional<Component>('words', 'What to run, separated by commas', {
    ...{ flag: 'components', choices: COMPONENTS, shown: 'cni,proxy' },
  }),
  nodeName: optional<string>('text', 'Name of this Node', {
    ...{ flag: 'node-name', shown: 'lower-cased hostname' },
  }),
  kubeconfig: optional<string>('text', 'How to reach the API server', {
    ...{ flag: 'kubeconfig', shown: 'the service account of the pod' },
  }),
  manifests: optional<string>(
    'text',
    'Directory of YAML or JSON objects to read instead of an API server',
    { flag: 'manifests' },
  ),
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
      '/var/lib/cni/networks',
      "host-local's address files, a folder per network",
    ),
    confDirectory: text(
      '/etc/cni/net.d',
      "The runtime's network configurations, which may name other directories of addresses",
    ),
    criSocket: optional<string>('text', "The runtime's socket, asked for its sandboxes", {
      schema: { pattern: '^/' },
    }),
  },
  fabric: FABRIC_SETTINGS,
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
  const texts = Object.entries(AGENT_SETTINGS).flatMap(([key, entry]) => {
    const isText = 'flag' in entry && !(key in OWN_SETTINGS);
    const given = isText ? lastText(values[entry.flag ?? '']) : undefined;
    return given === undefined ? [] : [[key, given] as const];
  });
  return Object.fromEntries(texts);
}
