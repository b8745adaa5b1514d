/** Policy sets: the policies that select a pod in one direction, as what they say to each peer. */
import type { Direction, NamedPort } from '../kube/policy/types.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import { digestOf, type IdBook, idBytes, idData } from './ids.ts';
import type { Party } from './parties.ts';
import type { RulePeer } from './peers.ts';
import {
  NO_POLICY,
  type Outcome,
  outcomeOf,
  PASSED,
  plainRole,
  type Role,
  RolePainter,
} from './role.ts';
import { countOf, paintSteps, type Step, stepsOf } from './steps.ts';

/** A peer that rules of policy sets in use name. */
export interface ActivePeer {
  readonly digest: string;
  /** No other one of this process has it. */
  readonly serial: number;
  readonly peer: RulePeer;
  readonly users: Set<PolicySet>;
  readonly identities: Set<Identity>;
}

/** What policy sets can tell about an address. */
export interface Identity {
  readonly id: number;
  /** Of its number, as in keys. */
  readonly bytes: string;
  readonly text: string;
  /** Those that mean it, blocks among them. */
  readonly peers: readonly ActivePeer[];
  /** Those that mean its address, whoever has it. */
  readonly blocks: readonly ActivePeer[];
  /** Named ones that egress rules may ask for. */
  readonly ports: readonly NamedPort[];
  readonly isOwnNode: boolean;
  /** Sets that have a role of their own for it. */
  readonly sets: Set<PolicySet>;
}

interface ActiveStep {
  readonly peers: 'everybody' | readonly ActivePeer[];
  readonly step: Step;
  readonly outcome: Outcome;
}

/** Somebody of whom only the address is known, if that. */
export type Stranger = Pick<Identity, 'peers' | 'ports' | 'isOwnNode'>;

/** Remembered roles of one set: whoever changes labels all the time makes others and others. */
const MOST_ROLES = 256;

const NOBODY: Stranger = { peers: [], ports: [], isOwnNode: false };
const ALWAYS = plainRole(NO_POLICY);
/** For a pod that policies may select and nobody knows the labels of. */
const CLOSED = outcomeOf('egress', false, { policies: ['unknown pod'] });

export class PolicySet {
  readonly id: number;
  /** Of its number: as a key begins with it, and as it is data. */
  readonly bytes: string;
  readonly data: string;
  readonly text: string;
  readonly direction: Direction;
  readonly policies: readonly CompiledPolicy[];
  /** Of the subject. */
  readonly ports: readonly NamedPort[];
  /** Roles that differ from what falling through would give. */
  readonly row = new Map<Identity, Role>();
  /** Pods that have it. */
  readonly subjects = new Set<string>();
  readonly names: ReadonlySet<string>;
  readonly peers: ReadonlySet<ActivePeer>;
  /** What its rules name, ranges of them and names. */
  readonly portCount: number;
  readonly #tiers: Readonly<Record<CompiledPolicy['tier'], readonly ActiveStep[]>>;
  /** Those that isolate the subject. */
  readonly #isolating: readonly string[];
  readonly #roles = new Map<string, Role>();
  #default: Role | undefined;

  constructor(
    made: Pick<PolicySet, 'id' | 'text' | 'direction' | 'policies' | 'ports'>,
    activate: (peer: RulePeer) => ActivePeer,
  ) {
    const { id, text, direction, policies, ports } = made;
    this.id = id;
    this.bytes = idBytes(id);
    this.data = idData(id);
    this.text = text;
    this.direction = direction;
    this.policies = policies;
    this.ports = ports;
    const stepsOf = (tier: CompiledPolicy['tier']) =>
      policies
        .filter((policy) => policy.tier === tier)
        .flatMap((policy) => stepsOfPolicy(policy, direction, activate));
    this.#tiers = {
      Admin: stepsOf('Admin'),
      NetworkPolicy: stepsOf('NetworkPolicy'),
      Baseline: stepsOf('Baseline'),
    };
    this.#isolating = policies.filter(({ tier }) => tier === 'NetworkPolicy').map(({ key }) => key);
    const steps = Object.values(this.#tiers).flat();
    this.peers = new Set(steps.flatMap(({ peers }) => (peers === 'everybody' ? [] : peers)));
    this.portCount = steps.reduce((sum, { step }) => sum + countOf(step.ports), 0);
    this.names = new Set(namesIn(policies, direction));
  }

  /** For everybody whom no policy can tell from others. */
  get defaultRole(): Role {
    this.#default ??= this.roleOf(NOBODY);
    return this.#default;
  }

  /** For an address that nobody is known to have. */
  strangerRole({ blocks }: Pick<Identity, 'blocks'>): Role {
    if (blocks.length === 0) return this.defaultRole;
    return this.roleOf({ ...NOBODY, peers: blocks });
  }

  roleOf({ peers, ports, isOwnNode }: Stranger): Role {
    if (isOwnNode) return ALWAYS;
    const named = this.direction === 'egress' ? portsNamed(ports, this.names) : NO_PORTS;
    const relevant: ActivePeer[] = [];
    for (const peer of peers) if (this.peers.has(peer)) relevant.push(peer);
    const text = portsText(named) + relevant.map(({ serial }) => serial).join();
    const known = this.#roles.get(text);
    if (known !== undefined) return known;
    const decisive = this.direction === 'egress' ? named : this.ports;
    const role = this.#decide(new Set(relevant), decisive);
    // Identities in use keep theirs by themselves.
    if (this.#roles.size >= MOST_ROLES) this.#roles.clear();
    this.#roles.set(text, role);
    return role;
  }

  /** As Evaluator does: tiers in turn, in each the first rule that matches. */
  #decide(peers: ReadonlySet<ActivePeer>, ports: readonly NamedPort[]): Role {
    const painter = new RolePainter();
    if (this.policies.length === 0) return painter.finish(CLOSED);
    const apply = (steps: readonly ActiveStep[]) => {
      const meant = steps.filter(
        ({ peers: own }) => own === 'everybody' || own.some((peer) => peers.has(peer)),
      );
      for (const [outcome, own] of runsOf(meant)) paintSteps(painter, own, outcome, ports);
      painter.endTier();
    };
    apply(this.#tiers.Admin);
    apply(this.#tiers.NetworkPolicy);
    if (this.#isolating.length > 0) {
      return painter.finish(
        outcomeOf(this.direction, false, { tier: 'NetworkPolicy', policies: this.#isolating }),
      );
    }
    apply(this.#tiers.Baseline);
    return painter.finish(NO_POLICY);
  }
}

/** Of those that select a pod, the ones that say something about a direction, in one order on all nodes. */
export function concerning(
  policies: readonly CompiledPolicy[],
  direction: Direction,
): readonly CompiledPolicy[] {
  return policies.filter(({ tier, rules }) =>
    tier === 'NetworkPolicy' ? rules[direction] !== undefined : (rules[direction]?.length ?? 0) > 0,
  );
}

/** Names of ports that rules of these policies ask for. */
export function namesIn(
  policies: readonly CompiledPolicy[],
  direction: Direction,
): readonly string[] {
  return policies.flatMap(({ rules }) =>
    (rules[direction] ?? []).flatMap(({ ports }) =>
      ports === 'everything'
        ? []
        : ports.flatMap((port) => (port.kind === 'named' ? [port.name] : [])),
    ),
  );
}

/**
 * What a policy set is called; of those of one moment no two are called alike. Policies that select all pods are in
 * every one and not told: it keeps its number, and whatever has it in the kernel, while they come and go.
 */
export function setText(
  direction: Direction,
  policies: readonly CompiledPolicy[],
  ports: readonly NamedPort[],
): string {
  if (policies.length === 0) return `${direction} closed`;
  const told = policies.filter(({ isOfAll }) => !isOfAll);
  const keys = told.map(({ tier, key }) => `${tier} ${key}`);
  return [direction, ...keys].join('|') + portsText(ports);
}

/** The same value where all are. */
function portsNamed(ports: readonly NamedPort[], names: ReadonlySet<string>): readonly NamedPort[] {
  if (ports.length === 0) return NO_PORTS;
  return ports.every(({ name }) => names.has(name))
    ? ports
    : ports.filter((p) => names.has(p.name));
}

const NO_PORTS: readonly NamedPort[] = [];
const portsTexts = new WeakMap<readonly NamedPort[], string>();

export function portsText(ports: readonly NamedPort[]): string {
  if (ports.length === 0) return '';
  const known = portsTexts.get(ports);
  if (known !== undefined) return known;
  const texts = ports.map(({ name, protocol, port }) => `${name}=${protocol}/${port}`);
  const text = `#${[...new Set(texts)].toSorted().join()}`;
  portsTexts.set(ports, text);
  return text;
}

/** Numbers of identities are made of what they are: of peers in order, blocks last. */
export function identityText(
  peers: readonly ActivePeer[],
  blockCount: number,
  { ports, isOwnNode }: Pick<Identity, 'ports' | 'isOwnNode'>,
): string {
  const digests = peers.map(({ digest }) => digest).join();
  return digestOf(`${isOwnNode ? 'own ' : ''}${blockCount}|${digests}${portsText(ports)}`);
}

let lastSerial = 0;

export function activePeer(peer: RulePeer): ActivePeer {
  const serial = ++lastSerial;
  return { digest: digestOf(peer.key), serial, peer, users: new Set(), identities: new Set() };
}

export function makeIdentity(
  ids: IdBook,
  text: string,
  facts: Pick<Identity, 'peers' | 'blocks' | 'ports' | 'isOwnNode'>,
): Identity {
  const id = ids.take(`identity ${text}`);
  return { id, bytes: idBytes(id), text, sets: new Set(), ...facts };
}

/** Those for whom a set may have a role of its own; `known` are those that no peer has to name. */
export function* candidatesOf(set: PolicySet, known: readonly Identity[]): Generator<Identity> {
  for (const peer of set.peers) yield* peer.identities;
  const asksForNames = set.direction === 'egress' && set.names.size > 0;
  for (const identity of known) if (identity.isOwnNode || asksForNames) yield identity;
}

/** Notes that a selector means a class; gives whether it does. */
export function meet(
  active: ActivePeer,
  { party, peers }: { readonly party: Party; readonly peers: Set<ActivePeer> },
): boolean {
  const { peer } = active;
  if (peer.kind !== 'parties' || !peer.isMeant(party)) return false;
  peers.add(active);
  return true;
}

/** Steps that follow each other with one outcome, together. */
function runsOf(steps: readonly ActiveStep[]): readonly (readonly [Outcome, readonly Step[]])[] {
  const runs: [Outcome, Step[]][] = [];
  for (const { step, outcome } of steps) {
    const last = runs.at(-1);
    if (last?.[0] === outcome) last[1].push(step);
    else runs.push([outcome, [step]]);
  }
  return runs;
}

function stepsOfPolicy(
  policy: CompiledPolicy,
  direction: Direction,
  activate: (peer: RulePeer) => ActivePeer,
): readonly ActiveStep[] {
  const { key, tier } = policy;
  const decided = (isAllowed: boolean) =>
    outcomeOf(direction, isAllowed, { tier, policies: [key] });
  const outcomes = { Accept: decided(true), Deny: decided(false), Pass: PASSED };
  return stepsOf(policy, direction).map((step) => ({
    peers: step.peers === 'everybody' ? step.peers : step.peers.map(activate),
    step,
    outcome: outcomes[step.action],
  }));
}
