/** The lists of a running agent, for its questions and for whoever else draws them. */
import type { IPFamily } from '../../../net/ip.ts';
import type { ProxySnapshot } from '../../../proxy/snapshot.ts';
import { WeftError } from '../../../util/errors.ts';
import { takeInTurns } from '../../../util/turns.ts';
import { type DebugSubjects, requireFabric, requireProxy } from '../subjects.ts';
import { listAddresses, type WantedAddresses } from './addresses.ts';
import { isWanted, onlyService, type Wanted } from './names.ts';
import { listNodes } from './nodes.ts';
import { nodeRecordsSteps, readPodFacts } from './on-record.ts';
import { type PageRequest, page } from './page.ts';
import { listPods, podsByAddress } from './pods.ts';
import { listedEndpoints, listedService, type ServiceFacts, serviceDetail } from './services.ts';
import type {
  ListedAddress,
  ListedEndpoint,
  ListedPod,
  ListedService,
  Listing,
  NodesAnswer,
  ServiceDetail,
} from './values.ts';

export type Subjects = Pick<DebugSubjects, 'context' | 'proxy' | 'fabric' | 'cni'>;

/** Pods of this node. */
export function podsOf({ context }: Subjects, wanted: Wanted): Listing<ListedPod> {
  return listPods(readPodFacts(context.config.runDir), wanted);
}

/** Services that the proxy serves. Throws ENOTSUP without a proxy, EAGAIN before it has read them. */
export async function servicesOf(
  subjects: Subjects,
  wanted: Wanted,
  request: PageRequest,
): Promise<Listing<ListedService>> {
  const facts = await serviceFacts('services', subjects);
  const itemsOf = (key: string) => listedService(key, facts) ?? [];
  return page(
    () => keysOf(facts.snapshots, wanted),
    request,
    (key) => [itemsOf(key)].flat(),
  );
}

/** One Service in full. Throws ENOENT for none, and for several of that name. */
export async function serviceOf(subjects: Subjects, wanted: Wanted): Promise<ServiceDetail> {
  const facts = await serviceFacts('services', subjects);
  const found = serviceDetail(onlyService(keysOf(facts.snapshots, wanted), wanted), facts);
  if (found === undefined) throw new WeftError('ENOENT', `Service ${wanted.name} has just gone`);
  return found;
}

/** Of whole Services; `total` counts these. */
export async function endpointsOf(
  subjects: Subjects,
  wanted: Wanted & { readonly isLeftOutOnly: boolean },
  request: PageRequest,
): Promise<Listing<ListedEndpoint>> {
  const facts = await serviceFacts('endpoints', subjects);
  return page(
    () => keysOf(facts.snapshots, wanted),
    request,
    (key) => {
      const all = listedEndpoints(key, facts);
      return wanted.isLeftOutOnly ? all.filter(({ usedBy }) => usedBy !== 'everybody') : all;
    },
  );
}

/** Nodes and the ways to them. Throws ENOTSUP without the fabric. */
export function nodesOf(subjects: Subjects): NodesAnswer {
  const fabric = requireFabric('nodes', subjects);
  const { config, live } = subjects.context;
  return listNodes({
    nodeName: config.nodeName,
    backend: live.current.fabric.backend,
    report: fabric.report(),
    findings: fabric.paths(),
  });
}

/** Who has which address of this node's pods, and who had it. */
export async function addressesOf(
  { context, cni }: Subjects,
  wanted: WantedAddresses,
  request: PageRequest,
): Promise<Listing<ListedAddress>> {
  const { runDir, cni: directories } = context.config;
  cni?.settleAddresses();
  const facts = await takeInTurns(nodeRecordsSteps({ runDir, ...directories }));
  const all = listAddresses(facts, wanted);
  return page(
    () => all.keys(),
    request,
    (key) => [all.get(key) ?? []].flat(),
  );
}

async function serviceFacts(command: string, subjects: Subjects): Promise<ServiceFacts> {
  const proxy = requireProxy(command, subjects);
  const counts = await proxy.counts();
  const snapshots = proxy.snapshots();
  if ([...snapshots.values()].some(({ isSynced }) => !isSynced)) {
    throw new WeftError('EAGAIN', 'the agent has not read all Services yet; try again in a moment');
  }
  const pods = podsByAddress(readPodFacts(subjects.context.config.runDir).records);
  return { snapshots, counts, podAt: (ip) => pods.get(ip) };
}

function* keysOf(
  snapshots: ReadonlyMap<IPFamily, ProxySnapshot>,
  wanted: Wanted,
): Generator<string> {
  const seen: ProxySnapshot[] = [];
  for (const snapshot of snapshots.values()) {
    for (const [key] of snapshot.services()) {
      const isKnown = seen.some((other) => other.service(key) !== undefined);
      if (!isKnown && isWanted(key, wanted)) yield key;
    }
    seen.push(snapshot);
  }
}
