/** What rules of table `inet weft-policy` are put together of. */
import type { Rule } from '../../nftables/model.ts';
import type { Statement } from '../../nftables/statements.ts';

export const CT_STATE = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const;

/** Slots of the registers: an address; the policy set, then the role; the identity or the class. */
export const SLOT = {
  address: 0,
  beforeSet: 3,
  set: 4,
  identity: 5,
  class: 5,
} as const;

export function rule(...statements: readonly Statement[]): Rule {
  return { statements };
}

/** nft prints nothing of what is between registers: the comment has to say it. */
export function commented(comment: string, ...statements: readonly Statement[]): Rule {
  return { statements, comment };
}
