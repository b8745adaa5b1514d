/** Whether others are told of this node by BGP. Pure. */
import { type Check, type Fact, known } from './check.ts';
import type { CheckedBgp } from './checked-node.ts';

export interface BgpFacts {
  /** Undefined: this node does not speak BGP, or no agent was asked. */
  readonly bgp: Fact<CheckedBgp> | undefined;
}

const sessions: Check<BgpFacts> = {
  id: 'bgp-sessions',
  concernsTraffic: true,
  why: 'neighbours learn the ways to pods and Services by BGP, and forget them without a session',
  judge: ({ bgp }) => {
    if (bgp === undefined) return undefined;
    const { sessions: all, problems } = known(bgp);
    const [problem, ...others] = problems;
    if (problem !== undefined) {
      const more = others.length === 0 ? '' : `; and ${others.length} more`;
      return { level: 'failing', seen: `${problem}${more}`, cure: 'weft bgp tells all of it' };
    }
    const down = all.filter(({ state }) => state !== 'Established');
    const [first] = down;
    if (first === undefined) {
      return all.length === 0 ? undefined : { level: 'ok', seen: countText(all.length, 0) };
    }
    const { name, address, state, lastError, cure } = first;
    const why = lastError === '' ? '' : `: ${lastError}`;
    return {
      level: down.length === all.length ? 'failing' : 'warning',
      seen: `${name} (${address}) is not established, ${state}${why}; ${countText(all.length, down.length)}`,
      cure: cure === '' ? 'weft bgp' : cure,
    };
  },
};

export const BGP_CHECKS: readonly Check<BgpFacts>[] = [sessions];

function countText(all: number, down: number): string {
  return `${all - down} of ${all} sessions of BGP are established`;
}
