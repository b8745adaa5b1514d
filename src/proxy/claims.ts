import type { IP } from '../net/ip.ts';
import { compareText } from '../util/text-order.ts';
import type { Protocol, ServiceEntry, ServicePort } from './service.ts';

/** One place where clients reach a ServicePort. */
export type Frontend =
  | {
      readonly kind: 'clusterIP' | 'loadBalancerIP' | 'externalIP';
      readonly ip: IP;
      readonly protocol: Protocol;
      readonly port: number;
    }
  | { readonly kind: 'nodePort'; readonly protocol: Protocol; readonly port: number };

/** A ServicePort that wants a frontend, with what decides who gets it. */
interface Claim {
  readonly kind: Frontend['kind'];
  readonly createdAt: string;
  readonly port: ServicePort;
}

/**
 * Who gets an address and port that several ask for: lowest first. The API server hands a clusterIP
 * to one Service only, and a controller a load balancer's address, but anybody who may create a
 * Service can write any address into its `externalIPs`. NodePorts have no address and meet none of
 * the others.
 */
const RANKS: Readonly<Record<Frontend['kind'], number>> = {
  clusterIP: 0,
  loadBalancerIP: 1,
  externalIP: 2,
  nodePort: 0,
};

/** One Service's claims: those for the ports `before` become those of its new entry. */
interface ClaimChange {
  readonly before: readonly ServicePort[];
  readonly after: ServiceEntry | undefined;
}

/** A frontend that two ServicePorts want: `loser` goes without it. */
export interface Conflict {
  readonly frontend: string;
  readonly owner: ServicePort;
  readonly loser: ServicePort;
}

/**
 * The frontends a ServicePort asks for, each address once: one that is an external IP and a load
 * balancer's address is the load balancer's, whose source ranges hold for it.
 */
export function frontendsOf(port: ServicePort): readonly Frontend[] {
  const { protocol, clusterIP, policy } = port;
  const addresses = new Map<IP, Exclude<Frontend['kind'], 'nodePort'>>([[clusterIP, 'clusterIP']]);
  for (const ip of policy.loadBalancerIPs) {
    if (!addresses.has(ip)) addresses.set(ip, 'loadBalancerIP');
  }
  for (const ip of policy.externalIPs) if (!addresses.has(ip)) addresses.set(ip, 'externalIP');
  const frontends = Array.from(
    addresses,
    ([ip, kind]): Frontend => ({ kind, ip, protocol, port: port.port }),
  );
  if (port.nodePort !== 0) frontends.push({ kind: 'nodePort', protocol, port: port.nodePort });
  return frontends;
}

/** `172.30.0.1 tcp 80` or `tcp 30080`: the identity of a frontend. */
export function frontendKey(frontend: Frontend): string {
  const { protocol, port } = frontend;
  return frontend.kind === 'nodePort'
    ? `${protocol} ${port}`
    : `${frontend.ip} ${protocol} ${port}`;
}

/**
 * Who owns which frontend in one address family. When several ServicePorts ask for one, a clusterIP
 * comes before a load balancer's address and that before an external IP. Among claims of one kind
 * the oldest Service keeps it, and the order of names decides among Services of one age. The next in
 * line takes over when the owner goes.
 */
export class FrontendClaims {
  readonly #claims = new Map<string, Claim | readonly Claim[]>();
  readonly #onConflict: (conflict: Conflict) => void;

  constructor(onConflict: (conflict: Conflict) => void = () => {}) {
    this.#onConflict = onConflict;
  }

  /**
   * Replaces the claims of Services. Gives the keys of all Services that gained a frontend from
   * another one by that, or lost one to it; one that was given up by the one and taken by the
   * other counts as well.
   */
  updateAll(changes: readonly ClaimChange[]): ReadonlySet<string> {
    const owners = new Map<string, Claim | undefined>();
    for (const { before } of changes) for (const port of before) this.#release(port, owners);
    for (const { after } of changes) {
      for (const port of after?.ports ?? []) {
        this.#take(port, after?.createdAt ?? '', owners);
      }
    }
    const moved = new Set<string>();
    for (const [key, previous] of owners) {
      const owner = this.#owner(key);
      if (previous === undefined || owner === undefined) continue;
      if (previous.port.service === owner.port.service) continue;
      moved.add(previous.port.service).add(owner.port.service);
    }
    return moved;
  }

  /** The same for one Service. */
  update(before: readonly ServicePort[], after: ServiceEntry | undefined): ReadonlySet<string> {
    return this.updateAll([{ before, after }]);
  }

  /** The frontends of a ServicePort that are really its own. */
  owned(port: ServicePort): readonly Frontend[] {
    return frontendsOf(port).filter(
      (frontend) => this.#owner(frontendKey(frontend))?.port === port,
    );
  }

  /** Whose a frontend is; undefined: nobody asks for it. */
  ownerOf(frontend: Frontend): ServicePort | undefined {
    return this.#owner(frontendKey(frontend))?.port;
  }

  #owner(key: string): Claim | undefined {
    return claimList(this.#claims.get(key))[0];
  }

  #release(port: ServicePort, owners: Map<string, Claim | undefined>): void {
    for (const frontend of frontendsOf(port)) {
      const key = frontendKey(frontend);
      if (!owners.has(key)) owners.set(key, this.#owner(key));
      this.#store(
        key,
        claimList(this.#claims.get(key)).filter((claim) => claim.port !== port),
      );
    }
  }

  #take(port: ServicePort, createdAt: string, owners: Map<string, Claim | undefined>): void {
    for (const frontend of frontendsOf(port)) {
      const claim = { kind: frontend.kind, createdAt, port };
      const key = frontendKey(frontend);
      if (!owners.has(key)) owners.set(key, this.#owner(key));
      const before = claimList(this.#claims.get(key));
      this.#store(key, inserted(before, claim));
      const [first] = before;
      if (first === undefined) continue;
      const [owner, loser] = compareClaims(claim, first) < 0 ? [claim, first] : [first, claim];
      this.#onConflict({ frontend: key, owner: owner.port, loser: loser.port });
    }
  }

  /** Nearly every frontend has one claim; arrays for all would cost megabytes. */
  #store(key: string, claims: readonly Claim[]): void {
    const [only] = claims;
    if (only === undefined) this.#claims.delete(key);
    else this.#claims.set(key, claims.length === 1 ? only : claims);
  }
}

function claimList(claims: Claim | readonly Claim[] | undefined): readonly Claim[] {
  if (claims === undefined) return [];
  return 'port' in claims ? [claims] : claims;
}

/** By search, as thousands may ask for one frontend. */
function inserted(claims: readonly Claim[], claim: Claim): readonly Claim[] {
  let [from, to] = [0, claims.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    const other = claims[middle];
    if (other !== undefined && compareClaims(other, claim) <= 0) from = middle + 1;
    else to = middle;
  }
  return claims.toSpliced(from, 0, claim);
}

function compareClaims(left: Claim, right: Claim): number {
  return (
    RANKS[left.kind] - RANKS[right.kind] ||
    compareText(left.createdAt, right.createdAt) ||
    compareText(left.port.service, right.port.service) ||
    compareText(left.port.name, right.port.name)
  );
}
