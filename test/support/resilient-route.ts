import type { TestNetns } from './netns.ts';

const BUCKETS = 128;
/** Its number among next hops; those of its members follow. */
const GROUP = 10;

/**
 * A route of a router that hashes resiliently: when a next hop goes, its share alone moves. BIRD and FRR give
 * Linux no such routes, routers of racks have them.
 */
export class ResilientRoute {
  readonly #netns: TestNetns;
  readonly #ids = new Map<string, number>();

  /** `gateways`, which may come and go, are the next hops of `network`. */
  constructor(netns: TestNetns, network: string, gateways: readonly string[]) {
    this.#netns = netns;
    for (const [i, gateway] of gateways.entries()) {
      const id = GROUP + 1 + i;
      this.#ids.set(gateway, id);
      netns.run('ip', 'nexthop', 'add', 'id', String(id), 'via', gateway, 'dev', 'nodes');
    }
    this.#group('add', gateways);
    netns.run('ip', 'route', 'add', network, 'nhid', String(GROUP));
  }

  set(gateways: readonly string[]): void {
    this.#group('replace', gateways);
  }

  #group(verb: 'add' | 'replace', gateways: readonly string[]): void {
    const members = gateways.map((gateway) => this.#ids.get(gateway)).join('/');
    const kind = ['type', 'resilient', 'buckets', String(BUCKETS)];
    this.#netns.run('ip', 'nexthop', verb, 'id', String(GROUP), 'group', members, ...kind);
  }
}
