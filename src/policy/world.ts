import { Evaluator, type PolicyObjects } from './evaluator.ts';
import { Parties, type PartyObjects } from './parties.ts';

/** Everything that decides who may talk to whom, as of one moment. */
export interface PolicyWorld {
  readonly parties: Parties;
  readonly evaluator: Evaluator;
}

export function policyWorld(objects: PartyObjects & PolicyObjects): PolicyWorld {
  return { parties: new Parties(objects), evaluator: new Evaluator(objects) };
}
