/** Where the agent that is measured has its objects from. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { TRIGGER_TIME_ANNOTATION } from '../../src/kube/resources.ts';
import type { TestNetns } from '../support/netns.ts';
import { manifestItems, type ServiceObjects } from './cluster-objects.ts';
import { benchNode } from './kube-proxy-layout.ts';
import { type ControlCase, changingService, unchangingServices } from './proxy-cases.ts';
import { writeItems } from './services.ts';

/** Holds the objects of one case, before the agent starts. */
export interface Feed {
  readonly name: string;
  /** The part of the agent's configuration that names the source. */
  readonly config: object;
  /** Moves the endpoint. */
  move(round: number): void;
}

const API_SERVER = new URL('../support/workloads/api-server.ts', import.meta.url).pathname;
const SERVICES_PER_FILE = 500;
const FILL_LIMIT_MS = 120_000;
const PLURALS: Readonly<Record<string, string>> = {
  Service: 'services',
  EndpointSlice: 'endpointslices',
  Node: 'nodes',
};
const nodeItem = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: benchNode.nodeName },
  status: { addresses: [{ type: 'InternalIP', address: benchNode.nodeIP }] },
};

/** A directory: the changing slice has a file of its own, the rest is spread over others. */
export function manifestFeed(home: string, kind: ControlCase): Feed {
  const manifests = join(home, 'manifests');
  mkdirSync(manifests, { recursive: true });
  const items = initialItems(kind);
  writeItems(manifests, 'first', [nodeItem, ...items.first.slice(0, -1)]);
  writeItems(manifests, 'changing', items.first.slice(-1));
  writeMany(manifests, items.others);
  return {
    name: 'weft, manifests',
    config: { manifests },
    move: (round) => writeItems(manifests, 'changing', [movedSlice(kind, round)]),
  };
}

/** A directory of objects that do not change. */
export function stillFeed(home: string, services: readonly ServiceObjects[]): Pick<Feed, 'config'> {
  const manifests = join(home, 'manifests');
  mkdirSync(manifests, { recursive: true });
  writeMany(manifests, [[nodeItem], ...services.map(manifestItems)]);
  return { config: { manifests } };
}

function writeMany(manifests: string, items: readonly (readonly object[])[]): void {
  for (let from = 0; from < items.length; from += SERVICES_PER_FILE) {
    writeItems(manifests, String(from), items.slice(from, from + SERVICES_PER_FILE).flat());
  }
}

/** An API server in the agent's namespace, a process of its own. */
export async function apiFeed(home: string, kind: ControlCase, netns: TestNetns): Promise<Feed> {
  mkdirSync(home, { recursive: true });
  const kubeconfig = join(home, 'kubeconfig');
  const server = netns.start(process.execPath, [API_SERVER, kubeconfig]);
  const { stdin, stdout } = server;
  if (stdin === null || stdout === null) throw new Error('the API server has no pipes');
  const put = (item: object) => {
    // Every item of a manifest names its kind.
    const { kind: itemKind } = item as { readonly kind: string };
    stdin.write(`${JSON.stringify({ put: [PLURALS[itemKind], item] })}\n`);
  };
  const items = initialItems(kind);
  const all = [nodeItem, ...items.first, ...items.others.flat()];
  for (const item of all) put(item);
  const filled = Promise.withResolvers<void>();
  // One line when it is ready, then one per object.
  let lines = -1;
  createInterface({ input: stdout }).on('line', () => {
    if (++lines >= all.length) filled.resolve();
  });
  server.once('exit', (code) => filled.reject(new Error(`the API server ended with ${code}`)));
  const late = setTimeout(
    () => filled.reject(new Error(`the API server took ${lines} of ${all.length} objects`)),
    FILL_LIMIT_MS,
  );
  await filled.promise.finally(() => clearTimeout(late));
  return {
    name: 'weft, API server',
    config: { kubeconfig },
    move: (round) => put(movedSlice(kind, round)),
  };
}

function initialItems(kind: ControlCase) {
  return {
    first: kind.services === 0 ? [] : manifestItems(changingService(kind, 0)),
    others: unchangingServices(kind).map(manifestItems),
  };
}

function movedSlice(kind: ControlCase, round: number): object {
  const slice = changingService(kind, round).slices.at(-1);
  if (slice === undefined) throw new Error('a Service without slices');
  const annotations = { [TRIGGER_TIME_ANNOTATION]: new Date().toISOString() };
  const metadata = { ...slice.metadata, annotations };
  return { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', ...slice, metadata };
}
