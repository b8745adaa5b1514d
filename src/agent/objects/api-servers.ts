import type { ClusterAccess } from '../../kube/access/access.ts';
import { findApiServers } from '../../kube/access/discovery.ts';
import { ApiClient } from '../../kube/api/client.ts';
import { provesItself } from '../../kube/api/transport.ts';
import { ConfigError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import type { ObjectSourceSettings } from '../config/source-settings.ts';
import type { AgentContext } from '../context.ts';
import { WEFT_VERSION } from '../version.ts';

/** The API servers of the cluster as one. */
export interface ApiServers {
  readonly client: ApiClient;
  /** `10.0.0.1:6443`: the one in use. */
  readonly location: () => string;
  /** How it was found. */
  readonly foundBy: () => string;
  /** All that are tried. */
  readonly locations: readonly string[];
  /** What the server's clock was before ours at its last answer; undefined before there was one. */
  readonly skewMs: () => number | undefined;
}

/** Finds the servers and says which they are, and later which one answers. Throws ConfigError. */
export async function openApiServers(
  { clock, log, metrics }: Pick<AgentContext, 'clock' | 'log' | 'metrics'>,
  settings: Extract<ObjectSourceSettings, { readonly kind: 'apiServer' }>,
): Promise<ApiServers> {
  const onSlowPlugin = (command: string, elapsedMs: number) =>
    log.warn({ command, elapsedMs }, 'exec plugin for credentials has not answered yet');
  const { servers, notes } = await findApiServers(
    {
      kubeconfig: settings.kubeconfig,
      servers: settings.servers.map(urlOf),
      kubeletKubeconfigs: settings.kubelet.kubeconfigs,
      hostRoot: settings.kubelet.hostRoot,
    },
    { clock, environment: process.env, onSlowPlugin },
  );
  for (const reason of notes) log.warn({ reason }, "the kubelet's kubeconfig is not used whole");
  for (const { access } of servers) {
    if (provesItself(access)) continue;
    const server = access.server.origin;
    log.warn({ server, cure: 'use https://' }, 'no credentials are sent to a server without TLS');
  }
  const ordered = settings.servers.length > 1 ? spread(servers, Math.random) : servers;
  const [first, ...others] = ordered;
  if (first === undefined) throw new ConfigError('apiServers', 'no API server to ask');
  const foundBy = (access: ClusterAccess) =>
    ordered.find((each) => each.access === access)?.foundBy ?? '';
  let skewMs: number | undefined;
  const client: ApiClient = new ApiClient({
    access: first.access,
    alternatives: others.map(({ access }) => access),
    version: WEFT_VERSION,
    clock,
    random: Math.random,
    onAnswer: (answer) => {
      metrics.apiAnswered(client.access.server.host, answer);
      skewMs = skewOf(answer.date, clock.now()) ?? skewMs;
    },
    onServer: (access) => logServer(log, access, foundBy(access)),
  });
  return {
    client,
    location: () => client.access.server.host,
    foundBy: () => foundBy(client.access),
    locations: ordered.map(({ access }) => access.server.host),
    skewMs: () => skewMs,
  };
}

/** A server writes whole seconds, cut off. */
function skewOf(date: string | undefined, nowMs: number): number | undefined {
  const serverMs = Date.parse(date ?? '');
  return Number.isNaN(serverMs) ? undefined : serverMs + 500 - nowMs;
}

function logServer(log: Logger, { server }: ClusterAccess, foundBy: string): void {
  log.info({ server: server.origin, foundBy }, 'API server in use');
}

function urlOf(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new ConfigError('master', `--master: expected a URL, found ${JSON.stringify(text)}`);
}

/** Another order on each node, so that all of them do not ask the same server, nor flee to the same. */
export function spread<T>(servers: readonly T[], random: () => number): readonly T[] {
  return servers
    .map((server) => ({ server, place: random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ server }) => server);
}
