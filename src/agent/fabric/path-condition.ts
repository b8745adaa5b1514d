import type { ConditionValue } from './node-condition.ts';

/** Who reads it wants the first of them; `weft status` has all. */
const MOST_CHARACTERS = 1_000;

/** What the Node says of the ways to other nodes' pods; `note`: what does not arrive, and the cure. */
export function pathCondition(note: string): ConditionValue {
  const type = 'weft.dev/PathMTUTooSmall';
  if (note !== '') {
    const message = note.slice(0, MOST_CHARACTERS);
    return { type, status: 'True', reason: 'PacketsDoNotArrive', message };
  }
  const message = 'no way to pods of another node is known to pass smaller packets only';
  return { type, status: 'False', reason: 'PacketsArrive', message };
}
