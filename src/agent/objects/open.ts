import { ServerSource } from '../../kube/api/server-source.ts';
import type { ManifestProblem } from '../../kube/manifests/manifest-set.ts';
import { ManifestSource } from '../../kube/manifests/manifests.ts';
import { nodes } from '../../kube/resources.ts';
import { SharedObjects } from '../../kube/shared-objects.ts';
import { ConfigError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { ensurePrivateDirectory } from '../../util/private-directory.ts';
import type { ObjectSourceSettings } from '../config/source-settings.ts';
import type { AgentContext } from '../context.ts';
import type { KubeCounts } from '../metrics/metrics.ts';
import { openApiServers } from './api-servers.ts';
import { ApiEvents, NO_EVENTS } from './events.ts';
import type { OpenedSource } from './opened-source.ts';

/**
 * Opens the configured source of Kubernetes objects, not started yet. Throws ConfigError when its
 * credentials are not usable.
 */
export async function openObjectSource(context: AgentContext): Promise<OpenedSource> {
  const { config } = context;
  switch (config.source.kind) {
    case 'manifests':
      return openManifests(context, config.source.directory);
    case 'apiServer':
      return openApiSource(context, config.source);
    case 'none':
      throw new ConfigError('manifests', 'no source of Services: give --kubeconfig or --manifests');
  }
}

function openManifests({ clock, log, metrics }: AgentContext, directory: string): OpenedSource {
  const source = new ManifestSource({ directory, clock, log });
  const passedOver = () => source.passedOver;
  metrics.observeManifests(() => ({
    problems: source.problems.length,
    passedOver: source.passedOver.reduce((sum, { count }) => sum + count, 0),
  }));
  return {
    ...{ source: new SharedObjects(source, clock), events: NO_EVENTS, client: undefined },
    ...{ location: () => directory, foundBy: () => undefined },
    nodeNames: () => source.names(nodes()),
    ...{ counts: () => [], passedOver, problems: () => manifestProblemTexts(source.problems) },
  };
}

/** A server that restarts, or moves its leader, is back before this. */
const GRACE_MS = 5_000;

/** `API server 10.0.0.1:6443: connection refused for 63 s, …`: one line per cause. */
export function apiProblems(
  location: string,
  counts: readonly KubeCounts[],
  nowMs: number,
): readonly string[] {
  const causes = new Map<string, { readonly cure: string; readonly sinceMs: number }>();
  for (const { failing } of counts) {
    if (failing === undefined || nowMs - failing.sinceMs < GRACE_MS) continue;
    const { words, cure, sinceMs } = failing;
    const firstMs = Math.min(causes.get(words)?.sinceMs ?? sinceMs, sinceMs);
    causes.set(words, { cure, sinceMs: firstMs });
  }
  return Array.from(causes, ([words, { cure, sinceMs }]) => {
    const seconds = Math.round((nowMs - sinceMs) / 1000);
    return `API server ${location}: ${words}, for ${seconds} s; what was last read is served; ${cure}`;
  });
}

/** Of thousands of broken files a person needs a few. */
const MOST_PROBLEMS = 5;

/** `a.yaml:3:7: spec.ports[0].port must be an integer`, and how many more there are. */
export function manifestProblemTexts(problems: readonly ManifestProblem[]): readonly string[] {
  const texts = problems.slice(0, MOST_PROBLEMS).map(({ file, line, column, reason }) => {
    const place = [file, line, column].filter((part) => part !== undefined).join(':');
    return `manifest ${place}: ${reason}`;
  });
  const more = problems.length - texts.length;
  return more === 0 ? texts : [...texts, `and ${more} more problems of manifests`];
}

async function openApiSource(
  context: AgentContext,
  settings: Extract<ObjectSourceSettings, { readonly kind: 'apiServer' }>,
): Promise<OpenedSource> {
  const { config, clock, log, metrics, lifecycle } = context;
  const { client, location, foundBy, locations } = await openApiServers(context, settings);
  const source = new ServerSource({
    client,
    clock,
    random: Math.random,
    log,
    allowMassDeletion: config.own.allowMassDeletion,
    ...stateDirectoryOf(config.own.stateDir, log),
  });
  lifecycle.onShutdown('last known objects', () => source.saveState());
  const counts = () =>
    source.counts().map(({ plural, counts: each }) => ({ resource: plural, ...each }));
  metrics.observeKube(counts);
  const { nodeName } = config;
  const events = new ApiEvents({ client, nodeName, clock, log, signal: lifecycle.signal });
  const all = locations.join(' and ');
  return {
    ...{ source: new SharedObjects(source, clock), events, counts, location, foundBy },
    problems: () => [...apiProblems(all, counts(), clock.elapsed()), ...source.stateProblems()],
    passedOver: () => [],
    client,
    nodeNames: () => client.names(nodes(), lifecycle.signal),
  };
}

/** What others could write there would be served as this cluster's Services: then it is not used. */
export function stateDirectoryOf(path: string, log: Logger): { readonly stateDirectory?: string } {
  try {
    ensurePrivateDirectory('state directory', path, process.getuid?.() ?? 0);
    return { stateDirectory: path };
  } catch (err) {
    log.warn({ err }, 'last known objects are neither read nor kept');
    return {};
  }
}
