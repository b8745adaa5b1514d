import { inClusterAccess, readKubeconfig } from '../kube/access/kubeconfig.ts';
import { ApiSource } from '../kube/api/api-source.ts';
import { ApiClient } from '../kube/api/client.ts';
import { ManifestSource } from '../kube/manifests/manifests.ts';
import type { ObjectSource } from '../kube/source.ts';
import { ConfigError } from '../util/errors.ts';
import type { AgentContext } from './context.ts';
import { WEFT_VERSION } from './version.ts';

/**
 * Opens the configured source of Kubernetes objects, not started yet. Throws ConfigError when its
 * credentials are not usable.
 */
export async function openObjectSource(context: AgentContext): Promise<ObjectSource> {
  const { config, clock, log } = context;
  switch (config.source.kind) {
    case 'manifests':
      return new ManifestSource({ directory: config.source.directory, clock, log });
    case 'apiServer':
      return openApiSource(context, config.source);
    case 'none':
      throw new ConfigError('manifests', 'no source of Services: give --kubeconfig or --manifests');
  }
}

async function openApiSource(
  { clock, log, metrics }: AgentContext,
  settings: { readonly kubeconfig: string | undefined; readonly master: string | undefined },
): Promise<ObjectSource> {
  const options = { clock, environment: process.env };
  const found =
    settings.kubeconfig === undefined
      ? inClusterAccess(options)
      : await readKubeconfig(settings.kubeconfig, options);
  const access =
    settings.master === undefined ? found : { ...found, server: new URL(settings.master) };
  const client = new ApiClient({ access, version: WEFT_VERSION, clock, random: Math.random });
  const source = new ApiSource({ client, clock, random: Math.random, log });
  metrics.observeKube(() =>
    source.counts().map(({ plural, counts }) => ({ resource: plural, ...counts })),
  );
  return source;
}
