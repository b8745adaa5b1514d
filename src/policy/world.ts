import { Evaluator, type PolicyObjects } from './evaluator.ts';
import { Parties, type PartyObjects } from './parties.ts';
import type { Services } from './service-target.ts';

/** Everything that decides who may talk to whom, as of one moment. */
export interface PolicyWorld {
  readonly parties: Parties;
  readonly evaluator: Evaluator;
  /** Undefined: whoever asks knows pods, nodes and addresses only. */
  readonly services?: Services;
}

export function policyWorld(objects: PartyObjects & PolicyObjects): PolicyWorld {
  return { parties: new Parties(objects), evaluator: new Evaluator(objects) };
}
