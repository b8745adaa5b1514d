/**
 * Ports that a program of the node holds on all addresses (an ingress on 0.0.0.0:80) are led to ports
 * of ours at the same addresses, where the kernel has nf_tables: one table with one map
 *
 *     map portals    address . proto . port → address . our port
 */
import { type IPFamily, ipFamily } from '../../../net/ip.ts';
import { tableReplacement } from '../../../nftables/applier.ts';
import { ipBytes, portBytes, protocolBytes } from '../../../nftables/bytes.ts';
import { HOOK_PRIORITY } from '../../../nftables/hook-priorities.ts';
import type { NamedSet, Table } from '../../../nftables/model.ts';
import { ip, ip6, meta, th } from '../../../nftables/selectors.ts';
import { dnatToMap } from '../../../nftables/statements.ts';
import { Transaction } from '../../../nftables/transaction.ts';
import type { Place } from './places.ts';

/** A place at which clients arrive, and the port of the same address at which we listen. */
export interface Portal {
  readonly place: Place;
  readonly port: number;
}

/** The requests to nf_tables that are needed. They throw where the kernel has no nf_tables. */
export interface PortalKernel {
  hasTable(table: Table): boolean;
  /** Throws what `commit` would, and changes nothing. */
  check(transaction: Transaction): void;
  commit(transaction: Transaction): void;
}

export function portalTable(family: IPFamily): Table {
  return { family: family === 4 ? 'ip' : 'ip6', name: 'weft-portals' };
}

/** A transaction that replaces the table by one with these portals. */
function replacePortals(family: IPFamily, portals: readonly Portal[]): Transaction {
  const { daddr } = family === 4 ? ip : ip6;
  const key = [daddr, meta.l4proto, th.dport];
  const map: NamedSet = { name: 'portals', key, data: [daddr, th.dport] };
  const table = portalTable(family);
  const rules = [{ statements: [dnatToMap(table.family === 'ip' ? 'ip' : 'ip6', key, map.name)] }];
  const chains = (['prerouting', 'output'] as const).map((hook) => {
    const base = { type: 'nat', hook, priority: HOOK_PRIORITY.destinationNat } as const;
    return { name: hook, base, rules };
  });
  const add = portals.map(({ place: { address, protocol, port }, port: own }) => ({
    key: ipBytes(address) + protocolBytes(protocol) + portBytes(port),
    data: ipBytes(address) + portBytes(own),
  }));
  const elements = [{ set: map.name, remove: [], add }];
  return tableReplacement({ table, sets: [map], chains }, { elements });
}

/** Keeps the table of one family; there is none as long as no portal is needed. */
export class Portals {
  readonly #kernel: PortalKernel;
  readonly #family: IPFamily;
  #known: string | undefined;
  #hasPortals = false;
  #canLead: boolean | undefined;

  constructor(kernel: PortalKernel, family: IPFamily) {
    this.#kernel = kernel;
    this.#family = family;
  }

  /** Whether the kernel could redirect to other ports. */
  get isPossible(): boolean {
    this.#canLead ??= succeeds(() => this.#kernel.check(replacePortals(this.#family, [])));
    return this.#canLead;
  }

  /** The table is needed and somebody else has deleted it. */
  get isLost(): boolean {
    return this.#hasPortals && !this.#kernel.hasTable(portalTable(this.#family));
  }

  /** Somebody else may have changed the table: the next call writes it again. */
  invalidate(): void {
    this.#known = undefined;
  }

  /** Redirects these portals and no others. Redirected connections go on. */
  set(portals: readonly Portal[]): void {
    const mine = portals.filter(({ place }) => ipFamily(place.address) === this.#family);
    const wanted = JSON.stringify(mine);
    if (wanted === this.#known) return;
    const table = portalTable(this.#family);
    if (mine.length > 0) this.#kernel.commit(replacePortals(this.#family, mine));
    else if (this.#kernel.hasTable(table)) {
      this.#kernel.commit(new Transaction(table).deleteTable());
    }
    this.#known = wanted;
    this.#hasPortals = mine.length > 0;
  }
}

function succeeds(attempt: () => void): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}
