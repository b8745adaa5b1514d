/** Collects checks from one pod over one address family. */
import type { IP, IPFamily } from '../../net/ip.ts';
import type { ConnectivityCheck, Plan, SkippedCheck } from './checks.ts';

export interface Target {
  readonly ip: IP;
  readonly port: number;
}

/** Nobody listens there, so that whoever gets a packet says so (UDP port of traceroute). */
const CLOSED_PORT = 33_434;
export const WHERE_OUTSIDE = 'say where to: --outside ADDRESS:PORT';

export class PlanBuilder implements Plan {
  readonly checks: ConnectivityCheck[] = [];
  readonly skipped: SkippedCheck[] = [];
  readonly #from: IP;
  readonly #family: IPFamily;

  constructor(from: IP, family: IPFamily) {
    this.#from = from;
    this.#family = family;
  }

  /** Without a target it is told why it is not tried. */
  tcp(title: string, target: Target | undefined, why: string): void {
    if (target === undefined) this.skip(title, why);
    else this.#add(title, target, { protocol: 'tcp', content: 'empty', expected: 'reached' });
  }

  /** Policies keep `from` away. */
  denied(title: string, from: IP, target: Target): void {
    this.#add(title, target, { from, protocol: 'tcp', content: 'empty', expected: 'denied' });
  }

  /** A packet as large as the pod's link takes, that nobody may cut. */
  full(title: string, ip: IP): void {
    const target = { ip, port: CLOSED_PORT };
    this.#add(title, target, { protocol: 'udp', content: 'full', expected: 'arrives' });
  }

  dns(target: Target | undefined): void {
    if (target === undefined) this.skip('DNS', 'no Service kube-dns or coredns has an endpoint');
    else this.#add('DNS', target, { protocol: 'udp', content: 'dns', expected: 'reached' });
  }

  skip(title: string, why: string): void {
    this.skipped.push({ title: this.#titled(title), why });
  }

  #add(
    title: string,
    { ip: to, port }: Target,
    rest: Pick<ConnectivityCheck, 'protocol' | 'content' | 'expected'> & { readonly from?: IP },
  ): void {
    this.checks.push({ title: this.#titled(title), from: this.#from, to, port, ...rest });
  }

  #titled(title: string): string {
    return `${title}, IPv${this.#family}`;
  }
}

export function joined(plans: readonly Plan[]): Plan {
  return {
    checks: plans.flatMap(({ checks }) => checks),
    skipped: plans.flatMap(({ skipped }) => skipped),
  };
}
