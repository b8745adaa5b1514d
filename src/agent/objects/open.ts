import { AddressedServices } from '../../kube/addressed-services.ts';
import { apiAgreement } from '../../kube/api/api-agreement.ts';
import { ServerSource } from '../../kube/api/server-source.ts';
import { fileAgreement } from '../../kube/manifests/file-agreement.ts';
import type { ManifestProblem } from '../../kube/manifests/manifest-set.ts';
import { ManifestSource } from '../../kube/manifests/manifests.ts';
import { nodes } from '../../kube/resources.ts';
import { SharedObjects } from '../../kube/shared-objects.ts';
import { wire } from '../../netlink/wire.ts';
import { ConfigError } from '../../util/errors.ts';
import type { ObjectSourceSettings } from '../config/source-settings.ts';
import type { AgentContext } from '../context.ts';
import { openApiServers } from './api-servers.ts';
import { ApiEvents, NO_EVENTS } from './events.ts';
import { followServer } from './followed-server.ts';
import { openEtcd } from './open-etcd.ts';
import type { OpenedSource } from './opened-source.ts';
import { stateDirectoryOf } from './state-directory.ts';

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
    case 'etcd':
      return openEtcd(context, config.source);
    case 'none':
      throw new ConfigError(
        'manifests',
        'no source of Services: give --kubeconfig, --manifests or --etcd',
      );
  }
}

function openManifests({ clock, log, metrics }: AgentContext, directory: string): OpenedSource {
  const source = new ManifestSource({ directory, clock, log });
  const passedOver = () => source.passedOver;
  metrics.observeManifests(() => ({
    problems: source.problems.length,
    passedOver: source.passedOver.reduce((sum, { count }) => sum + count, 0),
  }));
  const addressed = new AddressedServices(source);
  const notes = () => addressed.notes;
  return {
    ...{ source: new SharedObjects(addressed, clock), events: NO_EVENTS, client: undefined },
    agreement: fileAgreement({ directory, flock: wire.flock, notes }),
    ...{ location: () => directory, foundBy: () => undefined, skewMs: () => undefined },
    ...{ stateProblems: () => [], access: () => undefined },
    nodeNames: () => source.names(nodes()),
    ...{ counts: () => [], passedOver, problems: () => manifestProblemTexts(source.problems) },
  };
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
  const { config, clock, log, lifecycle } = context;
  const { client, location, foundBy, locations, skewMs } = await openApiServers(context, settings);
  const source = new ServerSource({
    client,
    clock,
    random: Math.random,
    log,
    allowMassDeletion: config.own.allowMassDeletion,
    ...stateDirectoryOf(config.own.stateDir, log),
  });
  const { nodeName } = config;
  const events = new ApiEvents({ client, nodeName, clock, log, signal: lifecycle.signal });
  const server = `API server ${locations.join(' and ')}`;
  return {
    ...{ source: new SharedObjects(source, clock), events, location, foundBy },
    ...followServer(context, server, source),
    passedOver: () => [],
    access: () => client.access,
    ...{ client, skewMs, agreement: apiAgreement(client) },
    nodeNames: () => client.names(nodes(), lifecycle.signal),
  };
}
