/** Rules of others that keep packets of pods from their way, or rewrite them. Pure. */
import { MASQUERADE_CURE } from '../fabric/foreign-masquerade.ts';
import type { ForeignDrop } from '../foreign/drops.ts';
import { type Check, type Fact, known } from './check.ts';

export interface ForeignFacts {
  /** Undefined: there are no pods that could be asked about. */
  readonly drops: Fact<readonly ForeignDrop[]> | undefined;
  /** In words; undefined where nobody looks. */
  readonly masquerades: readonly string[] | undefined;
}

const MOST_NAMED = 3;

const drops: Check<ForeignFacts> = {
  id: 'foreign-drops',
  concernsTraffic: true,
  why: 'what one table accepts another may drop: packets of pods end there, whatever the rules of weft say',
  judge: ({ drops: fact }) => {
    if (fact === undefined) return undefined;
    const found = known(fact).toSorted(
      (left, right) => Number(right.isWhole) - Number(left.isWhole),
    );
    const [worst] = found;
    if (worst === undefined) {
      return { level: 'ok', seen: 'no rule of others is sure to drop packets of pods' };
    }
    const more = found.length > MOST_NAMED ? ` and ${found.length - MOST_NAMED} more` : '';
    return {
      level: worst.isWhole ? 'failing' : 'warning',
      seen: `${found.slice(0, MOST_NAMED).map(dropText).join('; ')}${more}`,
      cure: worst.cure,
    };
  },
};

const masquerade: Check<ForeignFacts> = {
  id: 'foreign-masquerade',
  concernsTraffic: true,
  why: 'pods of other nodes, and policies there, see the address of this node in place of the pod',
  judge: ({ masquerades }) => {
    if (masquerades === undefined) return undefined;
    const [first] = masquerades;
    if (first === undefined) {
      return { level: 'ok', seen: 'no rule of others masquerades what pods send to each other' };
    }
    const more = masquerades.length > 1 ? `, and ${masquerades.length - 1} more` : '';
    return { level: 'failing', seen: `${first}${more}`, cure: MASQUERADE_CURE };
  },
};

export const FOREIGN_CHECKS: readonly Check<ForeignFacts>[] = [drops, masquerade];

function dropText({ table, chain, what, direction, pod, isWhole }: ForeignDrop): string {
  const share = isWhole ? 'all' : 'some';
  const side = direction === 'from' ? `that ${pod} sends` : `sent to ${pod}`;
  return `${table}, chain ${chain}: ${what} drops ${share} packets ${side}`;
}
