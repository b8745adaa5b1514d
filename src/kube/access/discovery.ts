/**
 * Where the API server is. KUBERNETES_SERVICE_HOST is the address of a Service, which does not work
 * before somebody serves Services, and that may be us: so a configured server goes before it, and the one
 * that the kubelet of this node uses.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, IoError, toError } from '../../util/errors.ts';
import { isMissing } from '../../util/files.ts';
import type { ClusterAccess } from './access.ts';
import type { AccessOptions } from './credentials.ts';
import type { TextSource } from './file-cache.ts';
import { readKubeconfig, readKubeconfigCluster } from './kubeconfig.ts';
import {
  SERVICE_ACCOUNT_DIRECTORY,
  serviceAccountAccess,
  serviceAddress,
} from './service-account.ts';

export interface ApiServerSettings {
  /** Absent: the service account of the pod. */
  readonly kubeconfig?: string | undefined;
  /** Servers of the cluster; they replace that of the kubeconfig. */
  readonly servers: readonly URL[];
  /** Paths on the host, of which the first that is there counts: only for server and authority. */
  readonly kubeletKubeconfigs: readonly string[];
  /** Where the host's files are; `/` where they are in their own places. */
  readonly hostRoot: string;
}

/** A way to the API server, and how it was found. */
export interface FoundServer {
  readonly access: ClusterAccess;
  /** `KUBERNETES_SERVICE_HOST` */
  readonly foundBy: string;
}

export interface FoundServers {
  /** At least one; all of one cluster. */
  readonly servers: readonly FoundServer[];
  /** What could have been one, in words. */
  readonly notes: readonly string[];
}

/**
 * The servers to try, with the credentials for each: those of the kubeconfig, else the service
 * account's, never the kubelet's. Throws ConfigError when there is none, and what `readKubeconfig` throws.
 */
export async function findApiServers(
  settings: ApiServerSettings,
  options: AccessOptions,
  directory: string = SERVICE_ACCOUNT_DIRECTORY,
): Promise<FoundServers> {
  const { kubeconfig, servers } = settings;
  const configured = (accessOf: (server: URL) => ClusterAccess): FoundServers => ({
    servers: servers.map((server) => ({ access: accessOf(server), foundBy: 'the configuration' })),
    notes: [],
  });
  if (kubeconfig !== undefined) {
    const access = await readKubeconfig(kubeconfig, options);
    if (servers.length > 0) return configured((server) => ({ ...access, server }));
    return { servers: [{ access, foundBy: `kubeconfig ${kubeconfig}` }], notes: [] };
  }
  if (servers.length > 0) {
    requireServiceAccount(directory);
    return configured((server) => serviceAccountAccess(server, options, directory));
  }
  return findFromPod(settings, options, directory);
}

function requireServiceAccount(directory: string): void {
  const token = join(directory, 'token');
  if (existsSync(token)) return;
  const cure = 'give --kubeconfig, or run in a pod with a service account';
  throw new ConfigError('kubeconfig', `no credentials for the API servers: no ${token}; ${cure}`);
}

/** The Service's address stays the last resort: it leads to every server, once it is served. */
async function findFromPod(
  settings: ApiServerSettings,
  options: AccessOptions,
  directory: string,
): Promise<FoundServers> {
  const { found, notes } = await findFromKubelet(settings, options, directory);
  const isInCluster = Boolean(options.environment['KUBERNETES_SERVICE_HOST']);
  if (found !== undefined && !isInCluster) return { servers: [found], notes };
  const server = serviceAddress(options.environment);
  const access = serviceAccountAccess(server, options, directory);
  const service = { access, foundBy: 'KUBERNETES_SERVICE_HOST' };
  return { servers: found === undefined ? [service] : [found, service], notes };
}

async function findFromKubelet(
  { kubeletKubeconfigs, hostRoot }: ApiServerSettings,
  options: AccessOptions,
  directory: string,
): Promise<{ readonly found?: FoundServer; readonly notes: readonly string[] }> {
  const notes: string[] = [];
  for (const path of kubeletKubeconfigs) {
    const file = join(hostRoot, path);
    try {
      const { server, tlsServerName, authority } = await readKubeconfigCluster(
        file,
        hostRoot,
        options,
      );
      const readable = await ifReadable(authority, notes);
      const access = serviceAccountAccess(server, options, directory, readable);
      const foundBy = `the kubelet's kubeconfig ${file}`;
      return { found: { access: { ...access, tlsServerName }, foundBy }, notes };
    } catch (thrown) {
      if (!isAbsent(thrown)) notes.push(toError(thrown).message);
    }
  }
  return { notes };
}

/** An authority that cannot be read from here gives way to the service account's own. */
async function ifReadable(
  authority: TextSource | undefined,
  notes: string[],
): Promise<TextSource | undefined> {
  try {
    await authority?.read();
    return authority;
  } catch (thrown) {
    notes.push(`${toError(thrown).message}; the authority of the service account is used`);
    return undefined;
  }
}

function isAbsent(thrown: unknown): boolean {
  return thrown instanceof IoError && isMissing(thrown.cause);
}
