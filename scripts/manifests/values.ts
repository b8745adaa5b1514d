/** What `make manifests` is given, as the patches that a kustomization would have for it. */
import { stringify } from 'yaml';
import { resolveAgentConfig } from '../../src/agent/config/agent-config.ts';
import { type Cidr, cidrFamily, containsCidr } from '../../src/net/cidr.ts';
import { parseConfiguredCidrs } from '../../src/net/configured-cidr.ts';
import { AddressError } from '../../src/net/ip.ts';
import { ConfigError } from '../../src/util/errors.ts';
import type { Operation } from './json-patch.ts';
import type { Patch } from './kustomize.ts';

/** By the names of make's variables; an empty text is none. */
export type ManifestValues = Partial<
  Record<
    | 'API_SERVER'
    | 'POD_CIDRS'
    | 'SERVICE_CIDRS'
    | 'BACKEND'
    | 'PROXY_MODE'
    | 'NODE_SELECTOR'
    | 'IMAGE',
    string | undefined
  >
>;

const CONFIG_MAP = { kind: 'ConfigMap', name: 'weft' } as const;
const DAEMON_SET = { kind: 'DaemonSet', name: 'weft' } as const;
/** Key and value as the API takes them (Kubernetes, "Labels and Selectors"): 63 characters after a DNS name. */
const NODE_LABEL =
  /^((?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)=((?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?)$/;
/** A reference as distribution/reference has it, with a registry, a tag or a digest. */
const IMAGE =
  /^[a-z0-9][a-z0-9.-]*(?::\d+)?(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+(?::\w[\w.-]*)?(?:@sha256:[0-9a-f]{64})?$/;

/** The patches for what is given. Throws ConfigError that names the variable. */
export function patchesFor(values: ManifestValues): readonly Patch[] {
  const { API_SERVER, BACKEND, PROXY_MODE, NODE_SELECTOR } = values;
  imageOf(values);
  const podCIDRs = oneOfEachFamily('POD_CIDRS', cidrsOf('POD_CIDRS', values.POD_CIDRS));
  const serviceCIDRs = cidrsOf('SERVICE_CIDRS', values.SERVICE_CIDRS);
  refuseOverlap(podCIDRs, serviceCIDRs);
  return [
    ...(BACKEND ? [setting('BACKEND', 'backend', { fabric: { backend: BACKEND } })] : []),
    ...(podCIDRs.length > 0 ? [podNetworks(podCIDRs)] : []),
    ...(serviceCIDRs.length > 0
      ? [setting('SERVICE_CIDRS', 'service-cidrs', { serviceCIDRs })]
      : []),
    ...(PROXY_MODE ? [setting('PROXY_MODE', 'proxy-mode', { proxy: { mode: PROXY_MODE } })] : []),
    ...(API_SERVER ? [apiServers(API_SERVER)] : []),
    ...(NODE_SELECTOR ? [nodeSelector(NODE_SELECTOR)] : []),
  ];
}

/** The image of all containers; undefined: as it is. Throws ConfigError. */
export function imageOf({ IMAGE: image }: ManifestValues): string | undefined {
  if (!image || IMAGE.test(image)) return image || undefined;
  const found = JSON.stringify(image);
  throw new ConfigError('IMAGE', `IMAGE: expected REGISTRY/NAME:TAG, found ${found}`);
}

function apiServers(text: string): Patch {
  return setting('API_SERVER', 'api-server', {
    apiServers: text.split(',').map((url) => url.trim()),
  });
}

function nodeSelector(text: string): Patch {
  const [, label = '', value = ''] = NODE_LABEL.exec(text) ?? [];
  if (label === '') {
    const reason = `expected a label of nodes such as network=weft, found ${JSON.stringify(text.slice(0, 80))}`;
    throw new ConfigError('NODE_SELECTOR', `NODE_SELECTOR: ${reason}`);
  }
  const path = `/spec/template/spec/nodeSelector/${label.replace('/', '~1')}`;
  return { target: DAEMON_SET, operations: [{ op: 'add', path, value }] };
}

function podNetworks(podCIDRs: readonly Cidr[]): Patch {
  return setting('POD_CIDRS', 'pod-cidrs', {
    fabric: { clusterCIDRs: podCIDRs },
    proxy: { detectLocalMode: 'ClusterCIDR', clusterCIDR: podCIDRs.join(',') },
  });
}

/** A file of its own in the ConfigMap, beside the one with all settings. */
function setting(variable: string, name: string, settings: object): Patch {
  const text = stringify(settings);
  // The agent's own judgement, with the variable in the place of the file's name.
  const environment = { KUBERNETES_SERVICE_HOST: 'unused' };
  resolveAgentConfig({}, [{ path: variable, text }], { hostname: 'node', environment });
  const operation: Operation = { op: 'add', path: `/data/50-${name}.yaml`, value: text };
  return { target: CONFIG_MAP, operations: [operation] };
}

function cidrsOf(variable: string, text = ''): readonly Cidr[] {
  const entries = text.split(/[\s,;]+/).filter((entry) => entry !== '');
  const wrong = entries.find((entry) => tryConfiguredCidr(entry) === undefined);
  if (wrong === undefined) return entries.flatMap((entry) => tryConfiguredCidr(entry) ?? []);
  const found = JSON.stringify(wrong.slice(0, 80));
  const cure = EXAMPLES[variable] ?? '';
  throw new ConfigError(variable, `${variable}: ${found} is no network: ${cure}`);
}

const EXAMPLES: Readonly<Record<string, string>> = {
  POD_CIDRS: 'give the --cluster-cidr of the kube-controller-manager, such as 10.244.0.0/16',
  SERVICE_CIDRS: 'give the --service-cluster-ip-range of the kube-apiserver, such as 10.96.0.0/12',
};

function tryConfiguredCidr(entry: string): Cidr | undefined {
  try {
    return parseConfiguredCidrs(entry)[0];
  } catch (thrown) {
    if (thrown instanceof AddressError) return undefined;
    throw thrown;
  }
}

/** The proxy tells local traffic by one network of each family, as kube-proxy does. */
function oneOfEachFamily(variable: string, cidrs: readonly Cidr[]): readonly Cidr[] {
  for (const family of [4, 6] as const) {
    const [first, second] = cidrs.filter((cidr) => cidrFamily(cidr) === family);
    if (second === undefined) continue;
    const cure = 'give the one that holds all pods of the cluster';
    const reason = `${first} and ${second} are both IPv${family}: ${cure}`;
    throw new ConfigError(variable, `${variable}: ${reason}`);
  }
  return cidrs;
}

/** An address of a Service that is a pod's too leads to one of them by chance. */
function refuseOverlap(podCIDRs: readonly Cidr[], serviceCIDRs: readonly Cidr[]): void {
  for (const pods of podCIDRs) {
    const services = serviceCIDRs.find(
      (cidr) => containsCidr(cidr, pods) || containsCidr(pods, cidr),
    );
    if (services === undefined) continue;
    const reason = `${services} overlaps ${pods} of POD_CIDRS; give the kube-apiserver's --service-cluster-ip-range`;
    throw new ConfigError('SERVICE_CIDRS', `SERVICE_CIDRS: ${reason}`);
  }
}
