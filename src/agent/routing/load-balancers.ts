/**
 * Addresses of pools for Services of type LoadBalancer: one agent of the cluster writes them into the
 * status of Services, which is the only record of who has which.
 */
import { bgpAdvertisements, l2Advertisements } from '../../kube/advertisements.ts';
import type { Agreement } from '../../kube/agreement.ts';
import { ApiError } from '../../kube/api/api-error.ts';
import type { AddressPoolObject } from '../../kube/decode-address-pool.ts';
import { addressPools, metalLBPools, objectKey, services } from '../../kube/resources.ts';
import type { Service } from '../../kube/types.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import { advertisementProblems } from '../../routing/pools/advertisements.ts';
import { type Allocation, allocate } from '../../routing/pools/allocate.ts';
import { type AddressPool, checkPools, holds, parseRange } from '../../routing/pools/pool.ts';
import { addressRequest, heldBy } from '../../routing/pools/request.ts';
import { summarized } from '../../util/complaints.ts';
import { joinErrors, toError } from '../../util/errors.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import type { ClusterContext } from '../cluster-context.ts';
import type { EventSink } from '../objects/events.ts';
import type { PoolsStatus } from '../status/routing-status.ts';
import { Election, USUAL_TIMINGS } from './election.ts';

export interface LoadBalancers {
  readonly status: () => PoolsStatus;
  /** The networks that pools must not have may be others now. */
  readonly trigger: () => void;
}

const LEAST_INTERVAL_MS = 100;
const RETRY_MS = 5_000;
const LOOK_EVERY_MS = 300_000;
/** Writes at once: thousands of Services are given addresses in seconds without flooding the server. */
const MOST_WRITES = 8;
const LEASE = 'weft-load-balancers';
const NOBODY: Allocation = { addresses: new Map(), problems: new Map(), usage: [] };

/** Networks of pods and of Services, of which a pool may hold nothing. */
export type TakenNetworks = () => readonly { readonly cidr: Cidr; readonly what: string }[];

/** Starts to give addresses. */
export function startLoadBalancers(context: ClusterContext, taken: TakenNetworks): LoadBalancers {
  const { config, clock, lifecycle, objects } = context;
  const log = context.log.child({ component: 'load balancers' });
  const { agreement, events } = objects;
  const follower = follow(context, () => runner.trigger());
  let allocation = NOBODY;
  let problems: readonly string[] = [];
  let failure = '';
  let cancelRetry = () => {};
  const runner = new BoundedFrequencyRunner(
    async () => {
      if (!follower.isConfirmed()) return;
      const checked = checkPools(follower.pools(), taken());
      const all = follower.services();
      const ownClass = config.routing.loadBalancerClass;
      const requests = all.flatMap((service) => addressRequest(service, ownClass) ?? []);
      allocation = allocate(checked.pools, requests);
      problems = [...follower.problems(), ...checked.problems];
      if (!election.isLeader) return;
      const isLeader = () => election.isLeader;
      const writer = { agreement, log, signal: lifecycle.signal, isLeader };
      const isWhole = await write(all, allocation, checked.pools, writer);
      // There is no event where only the version is another.
      cancelRetry();
      if (!isWhole) cancelRetry = clock.schedule(RETRY_MS, () => runner.trigger());
      await agreement.forgetOthers?.(new Set(all.map(objectKey)), lifecycle.signal);
      failure = '';
      tellOf(allocation, events);
    },
    {
      ...{ minIntervalMs: LEAST_INTERVAL_MS, retryIntervalMs: RETRY_MS },
      ...{ maxIntervalMs: LOOK_EVERY_MS, clock },
      onError: (error) => {
        failure = `addresses of Services are not written: ${error.message}`;
        log.warn({ reason: error.message }, 'addresses not written');
      },
    },
  );
  const election = new Election({
    ...{ agreement, clock, log, name: LEASE, namespace: config.routing.leaseNamespace },
    ...{ identity: config.nodeName, timings: USUAL_TIMINGS, signal: lifecycle.signal },
    onChange: () => runner.trigger(),
  });
  election.start();
  lifecycle.onShutdown('load balancers', () => runner.stop());
  return {
    trigger: () => runner.trigger(),
    status: () => ({
      isAllocator: election.isLeader,
      pools: allocation.usage.map(({ pool: name, size, used, holders }) => {
        return { name, size: String(size), used, holders };
      }),
      leaseProblems:
        election.problem === '' ? [] : [`no lease for load balancers: ${election.problem}`],
      unassigned: summarized(
        Array.from(allocation.problems, ([service, problem]) => `${service}: ${problem}`),
      ),
      problems: summarized([...problems, ...(failure === '' ? [] : [failure])]),
    }),
  };
}

function tellOf({ problems }: Allocation, events: EventSink): void {
  for (const [service, note] of problems) {
    const [namespace = '', name = ''] = service.split('/');
    events.send({
      ...{ about: { kind: 'Service', namespace, name }, type: 'Warning', note },
      ...{ reason: 'AddressNotAssigned', controller: 'weft', action: 'AssignAddress' },
    });
  }
}

interface Followed {
  services(): readonly Service[];
  pools(): readonly AddressPool[];
  problems(): readonly string[];
  isConfirmed(): boolean;
}

function follow({ config, live, objects }: ClusterContext, changed: () => void): Followed {
  const told = { onAdd: changed, onUpdate: changed, onDelete: changed };
  const ofServices = objects.source.watch(services, told);
  const ofPools = [addressPools, ...(config.routing.readMetalLB ? [metalLBPools] : [])].map(
    (kind) => objects.source.watch(kind, told),
  );
  // They change no address: nobody waits for them.
  const advertisements = (
    config.routing.readMetalLB ? [l2Advertisements, bgpAdvertisements] : []
  ).map((kind) => objects.source.watch(kind, told));
  let isConfirmed = false;
  void Promise.all([ofServices, ...ofPools].map(({ confirmed }) => confirmed)).then(() => {
    isConfirmed = true;
    changed();
  });
  const poolObjects = () => ofPools.flatMap((subscription) => subscription.objects());
  return {
    services: () => ofServices.objects(),
    pools: () => [
      ...config.routing.pools,
      ...poolObjects().flatMap((object) => poolOf(object).pool ?? []),
    ],
    problems: () => [
      ...poolObjects().flatMap((object) => poolOf(object).problems),
      ...advertisements
        .flatMap((subscription) => subscription.objects())
        .flatMap((each) => advertisementProblems(each, live.current.routing)),
    ],
    isConfirmed: () => isConfirmed,
  };
}

/** A pool of the cluster; none where something of it cannot be done. */
export function poolOf(object: AddressPoolObject): {
  readonly pool?: AddressPool;
  readonly problems: readonly string[];
} {
  const { metadata, addresses, namespaces, autoAssign, avoidBuggyIPs, priority } = object;
  const { name } = metadata;
  const wrong = addresses.find((text) => parseRange(text) === undefined);
  const reasons = [
    ...object.unsupported,
    ...(wrong === undefined ? [] : [`${wrong} is no network and no range of addresses`]),
  ];
  if (reasons.length > 0) {
    return { problems: reasons.map((reason) => `address pool ${name} is not used: ${reason}`) };
  }
  const ranges = addresses.flatMap((text) => parseRange(text) ?? []);
  const words = { isAutomatic: autoAssign, avoidsEdges: avoidBuggyIPs, namespaces, priority };
  return { pool: { name, ranges, ...words }, problems: [] };
}

interface Writer {
  readonly agreement: Pick<Agreement, 'writeAddresses'>;
  readonly log: ClusterContext['log'];
  readonly signal: AbortSignal;
  /** Asked before each part: writing thousands may take longer than a lease. */
  readonly isLeader: () => boolean;
}

/**
 * Writes what differs, and tells whether nobody else had changed any of it. Throws when something else could not be
 * written.
 */
async function write(
  all: readonly Service[],
  { addresses }: Allocation,
  pools: readonly AddressPool[],
  writer: Writer,
): Promise<boolean> {
  const due = all.flatMap((service) => {
    const wanted = addresses.get(objectKey(service)) ?? leftover(service, pools);
    return wanted === undefined || isSame(heldBy(service), wanted) ? [] : [{ service, wanted }];
  });
  const failures: unknown[] = [];
  let isWhole = true;
  for (let at = 0; at < due.length && writer.isLeader(); at += MOST_WRITES) {
    const part = due.slice(at, at + MOST_WRITES);
    const results = await Promise.allSettled(part.map((each) => writeOne(each, writer)));
    for (const result of results) {
      if (result.status === 'rejected') failures.push(result.reason);
      else isWhole &&= result.value;
    }
  }
  const error = joinErrors(failures, 'write addresses of Services');
  if (error !== undefined) throw error;
  return isWhole;
}

/** What a Service of another type should have: nothing of our pools. */
function leftover(service: Service, pools: readonly AddressPool[]): readonly IP[] | undefined {
  if (service.spec.type === 'LoadBalancer') return undefined;
  const held = heldBy(service);
  const kept = held.filter((ip) => !pools.some((pool) => holds(pool, ip)));
  return kept.length === held.length ? undefined : kept;
}

function isSame(one: readonly IP[], other: readonly IP[]): boolean {
  return one.length === other.length && one.every((ip, i) => ip === other[i]);
}

/** Whether nobody else had changed it. */
async function writeOne(
  { service, wanted }: { readonly service: Service; readonly wanted: readonly IP[] },
  { agreement, log, signal }: Writer,
): Promise<boolean> {
  try {
    await agreement.writeAddresses(service, wanted, signal);
    log.info({ service: objectKey(service), addresses: wanted }, 'addresses assigned');
    return true;
  } catch (thrown) {
    const status = thrown instanceof ApiError ? thrown.status : 0;
    // One that is gone needs nothing.
    if (status === 404) return true;
    if (status === 409) return false;
    throw toError(thrown);
  }
}
