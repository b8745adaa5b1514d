/** Who has which address, and which of them policies cannot tell apart. */
import type { Labels } from '../kube/policy/types.ts';
import type { IP } from '../net/ip.ts';
import type { NodeParty, PodParty } from './parties.ts';
import type { ActivePeer, Identity } from './policy-set.ts';
import { portsText } from './policy-set.ts';

/** Parties with the same labels, ports and namespace: selectors mean all of them or none. */
export interface PartyClass {
  readonly text: string;
  /** One of them. */
  readonly party: PodParty | NodeParty;
  readonly isOwnNode: boolean;
  /** Selectors in use that mean them. */
  readonly peers: Set<ActivePeer>;
  readonly owners: Set<string>;
  /** What they are by the blocks that contain them, while `peers` are these. */
  readonly identities: Map<readonly ActivePeer[], Identity>;
}

/** What somebody has. */
export interface Claim {
  readonly party: PodParty | NodeParty;
  readonly isOwnNode: boolean;
  readonly ips: readonly IP[];
}

interface Held {
  readonly of: PartyClass;
  readonly ips: readonly IP[];
}

/**
 * Claims of addresses by owner. Where several claim one, a pod of this node has it, else the last; of several pods
 * of this node nobody, unless they are alike.
 */
export class Claims {
  readonly #classes = new Map<string, PartyClass>();
  readonly #held = new Map<string, Held>();
  readonly #owners = new Map<IP, string[]>();
  readonly #onClass: (made: PartyClass) => void;
  readonly #touchedClasses = new Set<PartyClass>();
  readonly #touched = new Set<IP>();

  /** `onClass` sees each class when its first party comes. */
  constructor(onClass: (made: PartyClass) => void) {
    this.#onClass = onClass;
  }

  /** Replaces what the owner has claimed; undefined for nothing. */
  set(owner: string, claim: Claim | undefined): void {
    const held = this.#held.get(owner);
    const to = claim && this.#classOf(claim);
    const isSame =
      held?.of === to &&
      (held?.ips.length ?? 0) === (claim?.ips.length ?? 0) &&
      held?.ips.every((ip, i) => ip === claim?.ips[i]);
    if (held !== undefined && isSame === true) return;
    if (to === undefined) this.#held.delete(owner);
    else this.#held.set(owner, { of: to, ips: claim?.ips ?? [] });
    to?.owners.add(owner);
    if (held !== undefined && held.of !== to) this.#leave(owner, held.of);
    for (const ip of held?.ips ?? []) if (!claim?.ips.includes(ip)) this.#release(owner, ip);
    for (const ip of claim?.ips ?? []) this.#claim(owner, ip);
  }

  /** What the owner is one of. */
  held(owner: string): PartyClass | undefined {
    return this.#held.get(owner)?.of;
  }

  classOf(ip: IP): PartyClass | undefined {
    const owners = this.#owners.get(ip);
    const own = owners?.filter((each) => each.startsWith(LOCAL)) ?? [];
    const owner = own[0] ?? owners?.at(-1);
    const found = owner === undefined ? undefined : this.#held.get(owner)?.of;
    return own.every((each) => this.#held.get(each)?.of === found) ? found : undefined;
  }

  get classCount(): number {
    return this.#classes.size;
  }

  classes(): Iterable<PartyClass> {
    return this.#classes.values();
  }

  addresses(): Iterable<IP> {
    return this.#owners.keys();
  }

  /** The class is meant by other selectors than before. */
  touchClass(of: PartyClass): void {
    of.identities.clear();
    this.#touchedClasses.add(of);
  }

  /** All of them are contained by other blocks, or have other ports that count. */
  touchAll(): void {
    for (const each of this.#classes.values()) this.touchClass(each);
  }

  /** Addresses whose owner or whose owner's class is another one. */
  *takeTouched(): Generator<IP> {
    for (const ip of this.#touched) {
      this.#touched.delete(ip);
      yield ip;
    }
    for (const { owners } of this.#touchedClasses) {
      for (const owner of owners) yield* this.#held.get(owner)?.ips ?? [];
    }
    this.#touchedClasses.clear();
  }

  #claim(owner: string, ip: IP): void {
    this.#touched.add(ip);
    const owners = this.#owners.get(ip);
    if (owners === undefined) this.#owners.set(ip, [owner]);
    else if (!owners.includes(owner)) owners.push(owner);
  }

  #release(owner: string, ip: IP): void {
    this.#touched.add(ip);
    const left = (this.#owners.get(ip) ?? []).filter((each) => each !== owner);
    if (left.length === 0) this.#owners.delete(ip);
    else this.#owners.set(ip, left);
  }

  #leave(owner: string, of: PartyClass): void {
    of.owners.delete(owner);
    if (of.owners.size > 0) return;
    this.#classes.delete(of.text);
    of.peers.clear();
  }

  #classOf({ party, isOwnNode }: Claim): PartyClass {
    const text = classText(party, isOwnNode);
    const known = this.#classes.get(text);
    if (known !== undefined) return known;
    const made = {
      text,
      party,
      isOwnNode,
      peers: new Set<ActivePeer>(),
      owners: new Set<string>(),
      identities: new Map(),
    };
    this.#classes.set(text, made);
    this.#onClass(made);
    return made;
  }
}

/** Owners are called `<kind> <key>`; these are pods of this node. */
export const LOCAL = 'local ';

function classText(party: PodParty | NodeParty, isOwnNode: boolean): string {
  if (party.kind === 'node') return `node ${isOwnNode} ${labelsText(party.labels)}`;
  const named = portsText(party.ports.filter(({ name }) => name !== ''));
  return `pod ${party.namespace} ${labelsText(party.namespaceLabels)} ${labelsText(party.labels)} ${named}`;
}

function labelsText(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}
