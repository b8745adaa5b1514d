/** Rows in line with the sets and identities that there are. Pure. */
import type { Steps } from '../util/turns.ts';
import type { Identities } from './identities.ts';
import { candidatesOf, type Identity, type PolicySet } from './policy-set.ts';
import type { PolicySets, SetChanges } from './policy-sets.ts';
import type { Rows } from './rows.ts';

interface Parts {
  readonly rows: Rows;
  readonly identities: Identities;
  readonly sets: PolicySets;
}

/** `isAgain`: some policies were closed so that there is room; what is dropped leaves its own first. */
export function* settleRows(
  { rows, identities, sets }: Parts,
  { created, dropped }: Pick<SetChanges, 'created' | 'dropped'>,
  isAgain: boolean,
): Steps<void> {
  const changes = identities.takeChanges();
  for (const identity of changes.dropped) {
    for (const set of [...identity.sets]) rows.removeIdentity(set, identity);
    yield;
  }
  const texts = new Set(Array.from(created, ({ text }) => text));
  const replaced = new Map<string, PolicySet>();
  for (const set of dropped) {
    if (!isAgain && texts.has(set.text) && !replaced.has(set.text)) replaced.set(set.text, set);
    else rows.removeSet(set);
    yield;
  }
  const known = [...identities].filter(isForAll);
  for (const set of rows.takeIncomplete()) {
    yield* rows.addIdentities(set, yield* allCandidates(set, known));
  }
  for (const set of created) {
    const candidates = yield* allCandidates(set, known);
    const old = replaced.get(set.text);
    if (old === undefined) yield* rows.addSet(set, candidates);
    else yield* rows.replaceSet(old, set, candidates);
  }
  for (const identity of changes.created) {
    const users = identity.peers.flatMap((peer) => [...peer.users]);
    for (const set of isForAll(identity) ? sets : new Set(users)) {
      if (!created.has(set)) rows.addIdentity(set, identity);
    }
    yield;
  }
}

/** Whether sets may have a role of their own for it that do not name it. */
function isForAll({ isOwnNode, ports }: Identity): boolean {
  return isOwnNode || ports.length > 0;
}

/** Each once, though many selectors may mean it. */
function* allCandidates(
  set: PolicySet,
  known: readonly Identity[],
): Generator<void, ReadonlySet<Identity>, void> {
  const found = new Set<Identity>();
  let met = 0;
  for (const identity of candidatesOf(set, known)) {
    found.add(identity);
    if (++met % STEP === 0) yield;
  }
  return found;
}

/** So many are looked at in one step. */
const STEP = 1_024;
