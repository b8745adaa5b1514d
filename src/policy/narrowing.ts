/** Whether a change may take something away from somebody. Where that is much work, it is said that it does. Pure. */
import type { ActivePeer, Identity, PolicySet, Stranger } from './policy-set.ts';
import { covers } from './role.ts';

/** Ports of all roles that are compared. */
const MOST_COMPARED = 50_000;

/** Somebody is one, and is the other from now on; `blocks` contain his address. `sets` are all in use. */
export function mayLoseByMove(
  from: Identity | undefined,
  to: Identity | undefined,
  blocks: readonly ActivePeer[],
  sets: Iterable<PolicySet>,
): boolean {
  const stranger = { peers: blocks, ports: [], isOwnNode: false };
  const [before, now]: readonly Stranger[] = [from ?? stranger, to ?? stranger];
  if (before === undefined || now === undefined) return true;
  const isForAll = [before, now].some(({ isOwnNode, ports }) => isOwnNode || ports.length > 0);
  const users = [...before.peers, ...now.peers].flatMap((peer) => [...peer.users]);
  let compared = 0;
  for (const set of isForAll ? sets : new Set(users)) {
    compared += set.portCount;
    if (compared > MOST_COMPARED || !covers(set.roleOf(now), set.roleOf(before))) return true;
  }
  return false;
}

/** One set stands for the other from now on. With other peers their roles cannot be compared. */
export function mayLoseByReplacement(
  old: PolicySet,
  made: PolicySet,
  identities: Iterable<Identity>,
): boolean {
  if (old.peers.size !== made.peers.size) return true;
  if (![...old.peers].every((peer) => made.peers.has(peer))) return true;
  if (!covers(made.defaultRole, old.defaultRole)) return true;
  let compared = 0;
  for (const identity of identities) {
    compared += old.portCount + made.portCount;
    if (compared > MOST_COMPARED) return true;
    if (!covers(made.roleOf(identity), old.roleOf(identity))) return true;
  }
  return false;
}
