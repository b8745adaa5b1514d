import { inClusterAccess, readKubeconfig } from '../../kube/access/kubeconfig.ts';
import { ApiSource } from '../../kube/api/api-source.ts';
import { ApiClient } from '../../kube/api/client.ts';
import { ManifestSource } from '../../kube/manifests/manifests.ts';
import { ConfigError } from '../../util/errors.ts';
import type { AgentContext } from '../context.ts';
import type { KubeCounts } from '../metrics/metrics.ts';
import { WEFT_VERSION } from '../version.ts';
import { ApiEvents, type EventSink, NO_EVENTS } from './events.ts';
import { HeardSource } from './heard-source.ts';

/** Where objects come from, and where events about them go. */
export interface OpenedSource {
  readonly source: HeardSource;
  readonly events: EventSink;
  /** `10.0.0.1:6443`, or the directory; for people. */
  readonly location: string;
  /** Of an API server, by kind of object. */
  readonly counts: () => readonly KubeCounts[];
}

/**
 * Opens the configured source of Kubernetes objects, not started yet. Throws ConfigError when its
 * credentials are not usable.
 */
export async function openObjectSource(context: AgentContext): Promise<OpenedSource> {
  const { config, clock, log } = context;
  switch (config.source.kind) {
    case 'manifests': {
      const { directory } = config.source;
      const source = new HeardSource(new ManifestSource({ directory, clock, log }), clock);
      return { source, events: NO_EVENTS, location: directory, counts: () => [] };
    }
    case 'apiServer':
      return openApiSource(context, config.source);
    case 'none':
      throw new ConfigError('manifests', 'no source of Services: give --kubeconfig or --manifests');
  }
}

async function openApiSource(
  { config, clock, log, metrics, lifecycle }: AgentContext,
  settings: { readonly kubeconfig: string | undefined; readonly master: string | undefined },
): Promise<OpenedSource> {
  const options = { clock, environment: process.env };
  const found =
    settings.kubeconfig === undefined
      ? inClusterAccess(options)
      : await readKubeconfig(settings.kubeconfig, options);
  const access =
    settings.master === undefined ? found : { ...found, server: new URL(settings.master) };
  const { host } = access.server;
  const client = new ApiClient({
    access,
    version: WEFT_VERSION,
    clock,
    random: Math.random,
    onAnswer: (answer) => metrics.apiAnswered(host, answer),
  });
  const source = new ApiSource({
    client,
    clock,
    random: Math.random,
    log,
    allowMassDeletion: config.own.allowMassDeletion,
    stateDirectory: config.own.stateDir,
  });
  lifecycle.onShutdown('last known objects', () => source.saveState());
  const counts = () =>
    source.counts().map(({ plural, counts: each }) => ({ resource: plural, ...each }));
  metrics.observeKube(counts);
  const { nodeName } = config;
  const events = new ApiEvents({ client, nodeName, clock, log, signal: lifecycle.signal });
  return { source: new HeardSource(source, clock), events, location: host, counts };
}
