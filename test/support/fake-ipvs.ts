/** Virtual servers, sets and addresses in memory, as strict as the kernel. */
import { IpvsError } from '../../src/kernel/ipvs-error.ts';
import type {
  IpvsChange,
  IpvsFailure,
  ObservedDestination,
  VirtualServer,
} from '../../src/kernel/ipvs-types.ts';
import type { IP } from '../../src/net/ip.ts';
import { formatServerKey } from '../../src/netlink/ipvs/server-key.ts';
import { isIpvsChain } from '../../src/proxy/modes/ipvs/chain-names.ts';
import { destinationKey } from '../../src/proxy/modes/ipvs/difference.ts';
import type { IpvsKernel } from '../../src/proxy/modes/ipvs/kernel.ts';
import { entryKey, SET_ROLES, type SetEntry } from '../../src/proxy/modes/ipvs/sets.ts';
import { WeftError } from '../../src/util/errors.ts';
import { FakeIptables } from './fake-iptables.ts';

interface FakeServer {
  server: VirtualServer;
  readonly destinations: Map<string, ObservedDestination>;
}

export class FakeIpvsKernel implements IpvsKernel {
  readonly rules = new FakeIptables(isIpvsChain);
  /** By formatServerKey. */
  readonly servers = new Map<string, FakeServer>();
  readonly entries = new Map<string, SetEntry>();
  /** On the link. */
  readonly held = new Set<IP>();
  otherIPs: readonly IP[] = [];
  missingSchedulers: readonly string[] = [];
  /** Those that a destination cannot have. */
  refusedAddresses: readonly IP[] = [];
  /** What was done since the last look, in order: `+set clusterIP 172.30.0.1,tcp:80`, `+ip …`. */
  readonly #done: string[] = [];
  readonly #learnt = new Map<string, boolean>();

  /** What was done since the last look. */
  takeDone(): readonly string[] {
    return this.#done.splice(0);
  }

  /** Connections of a destination that is there. */
  connect(server: string, destination: string, count: number): void {
    const known = this.#server(server);
    const before = known.destinations.get(destination);
    if (before === undefined) throw new Error(`${server} has no destination ${destination}`);
    known.destinations.set(destination, { ...before, activeConnections: count });
  }

  /** `TCP 172.30.0.1:80 rr`, and its destinations with their weights. */
  serverTexts(): readonly string[] {
    return [...this.servers.values()]
      .map(({ server, destinations }) => {
        const { scheduler, persistenceSeconds, fallback, hashesPort } = server;
        const flags = [
          ...(persistenceSeconds > 0 ? [`${persistenceSeconds}s`] : []),
          ...(fallback ? ['fallback'] : []),
          ...(hashesPort ? ['port'] : []),
        ];
        const backs = [...destinations.values()].map(
          ({ ip, port, weight }) => `${ip} ${port}=${weight}`,
        );
        const head = [formatServerKey(server.key), scheduler, ...flags].join(' ');
        return `${head}: ${backs.sort().join(', ')}`;
      })
      .sort();
  }

  readonly ipvs: IpvsKernel['ipvs'] = {
    servers: async () => [...this.servers.values()].map(({ server }) => server),
    destinations: (key) => [
      ...(this.servers.get(formatServerKey(key))?.destinations.values() ?? []),
    ],
    states: () => this.#states(),
    apply: async (changes) => {
      const isRefused = (change: IpvsChange) =>
        change.op === 'addDestination' && this.refusedAddresses.includes(change.destination.ip);
      for (const change of changes) if (!isRefused(change)) this.#change(change);
      const [first, ...others] = changes.filter(isRefused).map(refusal);
      if (first !== undefined) throw new IpvsError([first, ...others]);
    },
  };

  readonly sets: IpvsKernel['sets'] = {
    ensure: async () => {},
    entries: async (role) => [...this.entries.values()].filter((entry) => entry.role === role),
    add: async (entries) => {
      for (const entry of entries) {
        this.#done.push(`+set ${entryKey(entry)}`);
        this.entries.set(entryKey(entry), entry);
      }
    },
    remove: async (entries) => {
      for (const entry of entries) {
        this.#done.push(`-set ${entryKey(entry)}`);
        this.entries.delete(entryKey(entry));
      }
    },
    sizes: () => {
      const all = [...this.entries.values()];
      return new Map(
        SET_ROLES.map((role) => [role, all.filter((entry) => entry.role === role).length]),
      );
    },
  };

  readonly addresses: IpvsKernel['addresses'] = {
    ensure: () => {},
    read: () => [...this.held],
    others: () => this.otherIPs,
    add: async (ips) => {
      for (const ip of ips) this.#done.push(`+ip ${ip}`);
      for (const ip of ips) this.held.add(ip);
    },
    remove: async (ips) => {
      for (const ip of ips) this.#done.push(`-ip ${ip}`);
      for (const ip of ips) this.held.delete(ip);
    },
  };

  readonly schedulers: IpvsKernel['schedulers'] = {
    has: (scheduler) => this.#learnt.get(scheduler) === true,
    learn: async (schedulers) => {
      const unknown = [...schedulers].filter((each) => !this.#learnt.has(each));
      for (const each of unknown) this.#learnt.set(each, !this.missingSchedulers.includes(each));
      return unknown.filter((each) => this.missingSchedulers.includes(each));
    },
  };

  async *#states() {
    for (const { server, destinations } of this.servers.values()) {
      yield [{ server, destinations: [...destinations.values()] }];
    }
  }

  #change(change: IpvsChange): void {
    this.#done.push(changeText(change));
    switch (change.op) {
      case 'addServer': {
        const key = formatServerKey(change.server.key);
        if (this.servers.has(key)) throw new WeftError('EEXIST', `add ${key}: EEXIST`);
        this.servers.set(key, { server: change.server, destinations: new Map() });
        return;
      }
      case 'setServer':
        this.#server(formatServerKey(change.server.key)).server = change.server;
        return;
      case 'deleteServer':
        this.#server(formatServerKey(change.key));
        this.servers.delete(formatServerKey(change.key));
        return;
      default:
        this.#changeDestination(change);
    }
  }

  #changeDestination(change: Extract<IpvsChange, { readonly destination: unknown }>): void {
    const { destinations } = this.#server(formatServerKey(change.key));
    const key = destinationKey(change.destination);
    const isThere = destinations.has(key);
    if (isThere === (change.op === 'addDestination')) {
      throw new WeftError(isThere ? 'EEXIST' : 'ENOENT', `${change.op} ${key}`);
    }
    if (change.op === 'deleteDestination') destinations.delete(key);
    else destinations.set(key, { ...IDLE, ...destinations.get(key), ...change.destination });
  }

  #server(key: string): FakeServer {
    const known = this.servers.get(key);
    if (known === undefined) throw new WeftError('ESRCH', `${key}: ESRCH`);
    return known;
  }
}

const IDLE = {
  activeConnections: 0,
  inactiveConnections: 0,
  persistentConnections: 0,
  isMasquerading: true,
};

function changeText(change: IpvsChange): string {
  if ('server' in change) return `${change.op} ${formatServerKey(change.server.key)}`;
  const server = formatServerKey(change.key);
  if (!('destination' in change)) return `${change.op} ${server}`;
  const weight = 'weight' in change.destination ? `=${change.destination.weight}` : '';
  const suffix = change.op === 'deleteDestination' ? '' : weight;
  return `${change.op} ${server} ${destinationKey(change.destination)}${suffix}`;
}

function refusal(change: IpvsChange): IpvsFailure {
  return { change, code: 'EINVAL', message: 'add destination: EINVAL' };
}
