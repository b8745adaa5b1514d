/** What becomes of a connection, in one word: what scripts ask for. Pure. */
import type { Explanation } from '../../../proxy/verdict/explanation.ts';
import type { PolicyOutcome } from '../policy-outcome.ts';
import type { Cause } from './cause.ts';
import type { Way } from './way.ts';

export type Outcome = 'allowed' | 'refused' | 'dropped' | 'differs';

/** 1 and 2 are failures of the command, as everywhere. */
export const OUTCOME_EXIT_CODES: Readonly<Record<Outcome, number>> = {
  ...{ allowed: 0, refused: 3, dropped: 4, differs: 5 },
};

/** From good to bad: of several places where a connection may go the worst counts. */
const RANKS: readonly Outcome[] = ['allowed', 'refused', 'dropped', 'differs'];

export interface Modelled {
  readonly explanation: Explanation;
  readonly policies?: readonly PolicyOutcome[] | undefined;
  readonly ways: readonly Way[];
}

/** By the model alone. */
export function modelOutcome({ explanation, policies = [], ways }: Modelled): Outcome {
  switch (explanation.verdict.kind) {
    case 'reject':
    case 'reset':
      return 'refused';
    case 'drop':
      return 'dropped';
    case 'dnat':
    case 'pass':
      return worst([
        ...policies.map(({ isAllowed }) => (isAllowed ? 'allowed' : 'dropped') as Outcome),
        ...ways.map(wayOutcome),
      ]);
  }
}

export function wayOutcome({ causes }: Way): Outcome {
  return worst(causes.map(causeOutcome));
}

function causeOutcome({ effect }: Cause): Outcome {
  if (effect === 'drops') return 'dropped';
  return effect === 'refuses' ? 'refused' : 'allowed';
}

export function worst(outcomes: readonly Outcome[]): Outcome {
  const rank = Math.max(0, ...outcomes.map((outcome) => RANKS.indexOf(outcome)));
  return RANKS[rank] ?? 'allowed';
}
