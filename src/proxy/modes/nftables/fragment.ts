/** What one ServicePort has in the table: plain values, compact because there are many. */
import type { Cidr } from '../../../net/cidr.ts';
import { ipBytes, portBytes, protocolBytes, u32Bytes } from '../../../nftables/bytes.ts';
import { fitComment } from '../../../nftables/userdata.ts';
import type { Frontend } from '../../claims.ts';
import type { Endpoint } from '../../endpoints.ts';
import type { ServicePort } from '../../service.ts';
import type { Masquerading, ResolvedFrontend, ResolvedPort, Route } from '../../state.ts';
import { maglevSlots } from './maglev.ts';
import type { SetName } from './sets.ts';
import type { FrontendKind, Picking, Scope } from './slot-chains.ts';
import { assignSlots, repeatByWeight } from './slots.ts';

/** The endpoints that some clients of a frontend are spread over. */
export interface Pool {
  /** Register bytes `address . port` of the endpoint in each slot; empty without endpoints. */
  readonly slots: readonly string[];
  readonly whenEmpty: Route['whenEmpty'];
  readonly picking: Picking;
}

/** What one frontend has in the table. */
export interface FrontendState {
  readonly kind: FrontendKind;
  /** Register bytes: `address . protocol . port`, or `protocol . port` for a NodePort. */
  readonly key: string;
  readonly everybody: Pool;
  /** Undefined: clients outside are served as everybody. */
  readonly outside: Pool | undefined;
  readonly masquerading: Masquerading;
  readonly allowedSources: readonly Cidr[];
  /** The ServicePort's number; undefined without session affinity. */
  readonly affinityId: number | undefined;
  /** Shown beside verdicts: `namespace/name:port`. */
  readonly comment: string;
}

/** An element that several ServicePorts may need, counted by the renderer. */
export interface SharedElement {
  readonly set: Extract<
    SetName,
    'cluster-ips' | 'hairpins' | 'affine-endpoints' | 'affine-local-endpoints'
  >;
  readonly key: string;
}

export interface Fragment {
  readonly frontends: readonly FrontendState[];
  readonly shared: readonly SharedElement[];
}

/** What the table has of a ServicePort before it is rendered. */
interface FormerState {
  /** The slots that a frontend has now, so that endpoints stay in their slots. */
  slots(kind: FrontendKind, scope: Scope, key: string): readonly string[];
  /** The ServicePort's number, by which clients are remembered; it keeps it. */
  affinityId(frontends: readonly FrontendKey[]): number;
}

export interface FrontendKey {
  readonly kind: FrontendKind;
  readonly key: string;
}

/** The fragment of a ServicePort. */
export function buildFragment(resolved: ResolvedPort, known: FormerState): Fragment {
  const { port, localEndpoints } = resolved;
  const keys = resolved.frontends.map(({ frontend }) => frontendKey(frontend));
  const hasAffinity = port.policy.affinitySeconds !== undefined && keys.length > 0;
  const affinityId = hasAffinity ? known.affinityId(keys) : undefined;
  const { isInternalLocal } = port.policy;
  const pools = new Pools(port, known);
  const comment = fitComment(port.name);
  const frontends = resolved.frontends.map((frontend) => ({
    ...stateOf(frontend, pools, isInternalLocal),
    affinityId,
    comment,
  }));
  const shared: SharedElement[] = [{ set: 'cluster-ips', key: ipBytes(port.clusterIP) }];
  for (const ip of new Set(localEndpoints.map(({ target }) => target.ip))) {
    shared.push({ set: 'hairpins', key: ipBytes(ip) + ipBytes(ip) });
  }
  if (affinityId !== undefined) shared.push(...affineEndpoints(frontends, affinityId));
  return { frontends, shared };
}

function stateOf(
  resolved: ResolvedFrontend,
  pools: Pools,
  isInternalLocal: boolean,
): Omit<FrontendState, 'affinityId' | 'comment'> {
  const { frontend, route, outside, masquerading, allowedSources } = resolved;
  const place = frontendKey(frontend);
  const isLocal = frontend.kind === 'clusterIP' && isInternalLocal;
  return {
    ...place,
    everybody: pools.pool(place, 'everybody', route, isLocal),
    outside: outside && pools.pool(place, 'outside', outside, true),
    masquerading,
    allowedSources,
  };
}

/** Frontends with the same route share one pool. */
class Pools {
  readonly #pools = new Map<Route, Pool>();
  readonly #policy: ServicePort['policy'];
  readonly #known: FormerState;

  constructor({ policy }: ServicePort, known: FormerState) {
    this.#policy = policy;
    this.#known = known;
  }

  pool(place: FrontendKey, scope: Scope, route: Route, isLocal: boolean): Pool {
    const shared = this.#pools.get(route);
    if (shared !== undefined) return shared;
    const { balance, affinitySeconds } = this.#policy;
    const isHashed = balance === 'source-hash';
    const pool = {
      slots: this.#slots(place, scope, route, isHashed),
      whenEmpty: route.whenEmpty,
      picking: { isHashed, affinitySeconds, isLocal },
    };
    this.#pools.set(route, pool);
    return pool;
  }

  #slots(
    { kind, key }: FrontendKey,
    scope: Scope,
    { endpoints, weights }: Route,
    isHashed: boolean,
  ): readonly string[] {
    const targets = endpoints.map(targetBytes);
    if (isHashed) return maglevSlots(targets, weights);
    return assignSlots(this.#known.slots(kind, scope, key), repeatByWeight(targets, weights));
  }
}

/** Whom clients may remember, for each kind of policy that some frontend has. */
function affineEndpoints(frontends: readonly FrontendState[], id: number): SharedElement[] {
  const elements = new Map<string, SharedElement>();
  for (const pool of frontends.flatMap(({ everybody, outside }) => [everybody, outside])) {
    for (const slot of pool?.slots ?? []) {
      const set = pool?.picking.isLocal ? 'affine-local-endpoints' : 'affine-endpoints';
      elements.set(`${set} ${slot}`, { set, key: u32Bytes(id) + slot });
    }
  }
  return [...elements.values()];
}

/** The key of its elements. */
export function frontendKey(frontend: Frontend): FrontendKey {
  const portKey = protocolBytes(frontend.protocol) + portBytes(frontend.port);
  return frontend.kind === 'nodePort'
    ? { kind: 'nodePort', key: portKey }
    : { kind: 'address', key: ipBytes(frontend.ip) + portKey };
}

/** An endpoint as slots hold it: register bytes `address . port`. */
export function targetBytes({ target, port }: Endpoint): string {
  return ipBytes(target.ip) + portBytes(port);
}
