import type { IP, IPFamily } from '../../net/ip.ts';
import type { Commit, CommitListener } from '../../proxy/commit-listener.ts';
import type { ServicePort } from '../../proxy/service.ts';
import type { ResolvedPort } from '../../proxy/state.ts';
import type { ServiceAddress } from '../../routing/facts.ts';
import type { Advertised } from '../../routing/settings.ts';

type Kind = ServiceAddress['kind'];

/** An address of one Service. */
interface Claim {
  readonly ip: IP;
  readonly kind: Kind;
  readonly isLocal: boolean;
  readonly isServed: boolean;
  readonly isServedSomewhere: boolean;
  /** With endpoints that are ready. */
  readonly nodes: readonly string[];
}

/** By whom an address is given: the API server, who writes the status of Services, anybody. */
const RANKS: readonly Kind[] = ['clusterIPs', 'loadBalancerIPs', 'externalIPs'];
/** More Services of one address than this are only counted. */
const MOST_NAMED = 5;

/**
 * Addresses of Services that are in the kernel, with whether somebody is ready behind them. A terminating
 * endpoint does not count although it still serves: others are to turn away in time.
 */
export class ServiceAddresses implements CommitListener {
  readonly #isWanted: (kind: Kind) => boolean;
  readonly #listeners: (() => void)[] = [];
  readonly #claims = new Map<IPFamily, Map<string, readonly Claim[]>>();
  /** Told since the last commit. */
  readonly #told = new Map<IPFamily, Map<string, readonly Claim[]>>();

  constructor(isWanted: (kind: Kind) => boolean) {
    this.#isWanted = isWanted;
  }

  /** Calls back after each commit. */
  follow(onChange: () => void): void {
    this.#listeners.push(onChange);
  }

  programming(family: IPFamily, service: string, ports: readonly ResolvedPort[]): void {
    const told = this.#told.get(family) ?? new Map<string, readonly Claim[]>();
    this.#told.set(family, told);
    told.set(service, claimsOf(ports));
  }

  committed(family: IPFamily, { isFull }: Commit): void {
    const claims = isFull ? new Map<string, readonly Claim[]>() : this.#of(family);
    for (const [service, wanted] of this.#told.get(family) ?? []) {
      if (wanted.length === 0) claims.delete(service);
      else claims.set(service, wanted);
    }
    this.#claims.set(family, claims);
    this.#told.delete(family);
    for (const listener of this.#listeners) listener();
  }

  /** Every Service of this family was told of. */
  isKnown(family: IPFamily): boolean {
    return this.#claims.has(family);
  }

  /** In order of addresses. */
  list(): readonly ServiceAddress[] {
    const byAddress = new Map<IP, { claims: Claim[]; services: string[] }>();
    for (const claims of this.#claims.values()) {
      for (const [service, wanted] of claims) {
        for (const claim of wanted.filter(({ kind }) => this.#isWanted(kind))) {
          const known = byAddress.get(claim.ip) ?? { claims: [], services: [] };
          known.claims.push(claim);
          if (known.services.length < MOST_NAMED) known.services.push(service);
          byAddress.set(claim.ip, known);
        }
      }
    }
    return Array.from(byAddress, ([ip, { claims: all, services }]) => {
      // Anybody may write any externalIP: it counts only where nobody else has the address.
      const kind = RANKS.find((rank) => all.some((claim) => claim.kind === rank)) ?? 'clusterIPs';
      return { ip, services, kind, claims: all.filter((claim) => claim.kind === kind) };
    })
      .map(({ ip, services, kind, claims }) => ({
        ...{ ip, kind, services: services.toSorted() },
        isServed: claims.some(({ isServed }) => isServed),
        isLocal: claims.every(({ isLocal }) => isLocal),
        isServedSomewhere: claims.some(({ isServedSomewhere }) => isServedSomewhere),
        ...nodesOf(claims),
      }))
      .toSorted((a, b) => (a.ip < b.ip ? -1 : 1));
  }

  #of(family: IPFamily): Map<string, readonly Claim[]> {
    return this.#claims.get(family) ?? new Map<string, readonly Claim[]>();
  }
}

/** Where every claim is Local: who shares an address has no Local policy. */
function nodesOf(claims: readonly Claim[]): { readonly nodes?: readonly string[] } {
  if (!claims.every(({ isLocal }) => isLocal)) return {};
  return { nodes: [...new Set(claims.flatMap(({ nodes }) => nodes))].toSorted() };
}

function claimsOf(ports: readonly ResolvedPort[]): readonly Claim[] {
  const claims = new Map<IP, Claim>();
  for (const { port, endpoints } of ports) {
    for (const { ip, kind, isLocal } of addressesOf(port)) {
      const former = claims.get(ip);
      const ready = endpoints.filter(({ target }) => target.isReady).map(({ target }) => target);
      const isReady = ready.some((target) => target.isLocal || !isLocal);
      const nodes = isLocal ? ready.flatMap(({ nodeName }) => nodeName ?? []) : [];
      claims.set(ip, {
        ...{ ip, kind, isLocal },
        isServed: isReady || former?.isServed === true,
        isServedSomewhere: ready.length > 0 || former?.isServedSomewhere === true,
        nodes: [...new Set([...(former?.nodes ?? []), ...nodes])],
      });
    }
  }
  return [...claims.values()];
}

function addressesOf({
  clusterIP,
  policy,
}: ServicePort): readonly Pick<Claim, 'ip' | 'kind' | 'isLocal'>[] {
  const { externalIPs, loadBalancerIPs, isInternalLocal, isExternalLocal } = policy;
  const outside = (ips: readonly IP[], kind: Advertised & Kind) =>
    ips.map((ip) => ({ ip, kind, isLocal: isExternalLocal }));
  return [
    { ip: clusterIP, kind: 'clusterIPs', isLocal: isInternalLocal },
    ...outside(externalIPs, 'externalIPs'),
    ...outside(loadBalancerIPs, 'loadBalancerIPs'),
  ];
}
