import { ConfigError } from '../../util/errors.ts';
import { AGENT_SETTINGS, type Component } from './agent-settings.ts';
import type { Origin } from './document.ts';
import { fillTable, type ValuesOf } from './setting.ts';

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
  /** Only for components that read no objects. */
  | { readonly kind: 'none' };

export type KubeletSettings = ValuesOf<typeof AGENT_SETTINGS.kubelet>;

/** kube-proxy does not look there. */
export const NO_KUBELET = { kubelet: { kubeconfigs: [], hostRoot: '/' } } as const;

/** What of the agent's file is about it. */
export interface SourceFile {
  readonly kubeconfig?: string;
  readonly manifests?: string;
  readonly apiServers?: readonly string[];
  readonly kubelet?: Partial<KubeletSettings>;
  readonly proxy?: { readonly clientConnection?: { readonly kubeconfig?: string } };
}

export interface SourceInput {
  readonly flags: {
    readonly kubeconfig?: string;
    readonly manifests?: string;
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
export const FOLLOWERS: readonly Component[] = ['proxy', 'fabric', 'policy'];

/** The source that is configured, or that a pod has without a word. Throws ConfigError. */
export function chooseSource(input: SourceInput): ObjectSourceSettings {
  const { flags, file, components, surroundings } = input;
  const isFromFlags = flags.kubeconfig !== undefined || flags.manifests !== undefined;
  const { kubeconfig, manifests } = isFromFlags ? flags : file;
  if (kubeconfig !== undefined && manifests !== undefined) {
    const [one, other] = isFromFlags
      ? ['--kubeconfig', '--manifests']
      : ['kubeconfig', 'manifests'];
    throw new ConfigError('manifests', `${one} and ${other} exclude each other: keep one of them`);
  }
  if (manifests !== undefined) return { kind: 'manifests', directory: manifests };
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
      'cluster with a service account, or choose --components cni',
  );
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

/** For a proxy on the node itself, such as `kubectl proxy`. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** A password in a URL would end up in logs. */
function reasonAgainst(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    const found = JSON.stringify(text.slice(0, 200));
    return `expected a URL such as https://192.168.0.10:6443, found ${found}`;
  }
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname)) {
    return `the agent's token is not sent without TLS: use https://, found "${url.origin}"`;
  }
  const hasUser = url.username !== '' || url.password !== '';
  return hasUser ? 'the URL must not hold a user name or password' : undefined;
}
