import { join } from 'node:path';
import { formatHostPort } from '../../net/host-port.ts';
import { ConfigError } from '../../util/errors.ts';
import type { ClusterAccess, Credentials } from './access.ts';
import { type AccessOptions, accessTimings, CombinedCredentials } from './credentials.ts';
import { environmentProxy } from './environment-proxy.ts';
import { CachedFile, type TextSource } from './file-cache.ts';

export const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The access a pod gets from its service account: token and CA certificate are files that the kubelet
 * rotates; `authority` vouches for the server in the place of the latter, if given. Throws ConfigError
 * outside a pod.
 */
export function serviceAccountAccess(
  server: URL,
  options: AccessOptions,
  directory: string = SERVICE_ACCOUNT_DIRECTORY,
  authority?: TextSource,
): ClusterAccess {
  return {
    server,
    proxyUrl: environmentProxy(server, options.environment),
    credentials: serviceAccount(options, directory, authority),
    isTlsVerified: true,
  };
}

/** Where the kubelet tells every pod the API server is: the address of a Service. */
export function serviceAddress(environment: AccessOptions['environment']): URL {
  const host = environment['KUBERNETES_SERVICE_HOST'];
  const port = environment['KUBERNETES_SERVICE_PORT'];
  if (!host || !port) {
    const key = host ? 'KUBERNETES_SERVICE_PORT' : 'KUBERNETES_SERVICE_HOST';
    throw new ConfigError(
      key,
      `use in-cluster access: ${key} is not set; give --kubeconfig FILE, or run in a pod`,
    );
  }
  const url = `https://${formatHostPort(host, port)}`;
  if (!URL.canParse(url)) {
    throw new ConfigError('KUBERNETES_SERVICE_HOST', `use in-cluster access: ${url} is not a URL`);
  }
  return new URL(url);
}

function serviceAccount(
  options: AccessOptions,
  directory: string,
  authority: TextSource | undefined,
): Credentials {
  const { fileMaxAgeMs: maxAgeMs } = accessTimings(options);
  const file = (name: string) =>
    new CachedFile(join(directory, name), { clock: options.clock, maxAgeMs });
  return new CombinedCredentials({
    token: file('token'),
    certificateAuthority: authority ?? file('ca.crt'),
  });
}
