import { ConfigError } from '../../util/errors.ts';
import { AGENT_SETTINGS, type Component } from './agent-settings.ts';
import type { Origin } from './document.ts';
import { type EtcdSettings, resolveEtcdSettings } from './etcd-settings.ts';
import { fillTable, type ValuesOf } from './setting.ts';
import { isLoopback, reasonAgainstUrl } from './source-url.ts';

/** Where Services, EndpointSlices and Nodes come from. */
export type ObjectSourceSettings =
  | {
      readonly kind: 'apiServer';
      /** Absent: the pod's service account. */
      readonly kubeconfig: string | undefined;
      /** URLs that replace that of the kubeconfig; none: see src/kube/access/discovery.ts. */
      readonly servers: readonly string[];
      /** Where the kubelet of this node may say what its API server is. */
      readonly kubelet: KubeletSettings;
    }
  | { readonly kind: 'manifests'; readonly directory: string }
  | ({ readonly kind: 'etcd' } & EtcdSettings)
  /** Only for components that read no objects. */
  | { readonly kind: 'none' };

export type KubeletSettings = ValuesOf<typeof AGENT_SETTINGS.kubelet>;

/** kube-proxy does not look there. */
export const NO_KUBELET = { kubelet: { kubeconfigs: [], hostRoot: '/' } } as const;

/** What of the agent's file is about it. */
export interface SourceFile {
  readonly kubeconfig?: string;
  readonly manifests?: string;
  readonly etcd?: Partial<EtcdSettings>;
  readonly apiServers?: readonly string[];
  readonly kubelet?: Partial<KubeletSettings>;
  readonly proxy?: { readonly clientConnection?: { readonly kubeconfig?: string } };
}

export interface SourceInput {
  readonly flags: {
    readonly kubeconfig?: string;
    readonly manifests?: string;
    readonly etcd?: Partial<EtcdSettings>;
    /** Separated by commas. */
    readonly apiServers?: string;
  };
  readonly file: SourceFile;
  readonly components: ReadonlySet<string>;
  readonly surroundings: {
    readonly environment: Readonly<Record<string, string | undefined>>;
  };
  readonly origin: Origin;
}

/** Components that follow what the cluster says. */
export const FOLLOWERS: readonly Component[] = ['proxy', 'fabric', 'policy', 'routing'];

/** The source that is configured, or that a pod has without a word. Throws ConfigError. */
export function chooseSource(input: SourceInput): ObjectSourceSettings {
  const { file, components, surroundings } = input;
  const { kubeconfig, manifests, etcd } = onlyOne(input);
  if (manifests !== undefined) return { kind: 'manifests', directory: manifests };
  if (etcd !== undefined) return { kind: 'etcd', ...etcd };
  const configured = kubeconfig ?? (file.proxy?.clientConnection?.kubeconfig || undefined);
  const servers = chooseServers(input);
  const isInCluster = Boolean(surroundings.environment['KUBERNETES_SERVICE_HOST']);
  if (configured !== undefined || servers.length > 0 || isInCluster) {
    // The table is what the type is made of.
    const kubelet = fillTable(AGENT_SETTINGS.kubelet, file.kubelet ?? {}) as KubeletSettings;
    return { kind: 'apiServer', kubeconfig: configured, servers, kubelet };
  }
  if (!FOLLOWERS.some((component) => components.has(component))) return { kind: 'none' };
  throw new ConfigError(
    'kubeconfig',
    'no source of Services and Nodes: give --kubeconfig FILE or --manifests DIR, run inside a ' +
      'cluster with a service account, give --etcd URL, or choose --components cni',
  );
}

/** What is given at the command line goes before the whole file. Throws ConfigError for two. */
function onlyOne({ flags, file, origin }: SourceInput) {
  const isEtcdChosen = (flags.etcd?.endpoints?.length ?? 0) > 0;
  const isFromFlags =
    flags.kubeconfig !== undefined || flags.manifests !== undefined || isEtcdChosen;
  const { kubeconfig, manifests } = isFromFlags ? flags : file;
  const isEtcdLeft = isFromFlags && !isEtcdChosen;
  const etcd = isEtcdLeft
    ? undefined
    : resolveEtcdSettings(flags.etcd ?? {}, file.etcd ?? {}, origin);
  const found = Object.entries({ kubeconfig, manifests, etcd })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => (isFromFlags ? `--${name}` : name));
  if (found.length > 1) {
    const words = `${found.join(' and ')} exclude each other: keep one of them`;
    throw new ConfigError(found.at(-1)?.replace('--', '') ?? '', words);
  }
  return { kubeconfig, manifests, etcd };
}

function chooseServers({ flags, file, origin }: SourceInput): readonly string[] {
  const isFromFlag = flags.apiServers !== undefined;
  const texts = flags.apiServers?.split(',').map((text) => text.trim()) ?? file.apiServers ?? [];
  for (const [index, text] of texts.entries()) {
    const reason = reasonAgainst(text);
    if (reason === undefined) continue;
    const place = isFromFlag ? '--api-server' : origin(['apiServers', String(index)]);
    throw new ConfigError('apiServers', `${place}: ${reason}`);
  }
  return texts;
}

function reasonAgainst(text: string): string | undefined {
  const reason = reasonAgainstUrl(text, 'https://192.168.0.10:6443');
  if (reason !== undefined) return reason;
  const url = new URL(text);
  return url.protocol === 'https:' || isLoopback(url)
    ? undefined
    : `the agent's token is not sent without TLS: use https://, found "${url.origin}"`;
}
