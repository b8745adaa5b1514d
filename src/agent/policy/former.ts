import { hasTable } from '../../nftables/own-namespace.ts';
import { POLICY_TABLE } from '../../policy/table/definition.ts';

/**
 * What an agent without the component finds of one that had it, in words with the cure. The rules are left as
 * they are: whoever has closed something wants it closed until he says otherwise.
 */
export function formerPolicies(
  isLeft: () => boolean = () => hasTable(POLICY_TABLE),
): readonly string[] {
  if (!isLeft()) return [];
  return [
    'table inet weft-policy of an agent with the component policy is left, and nobody keeps it up to date: ' +
      'name the component again, or run weft cleanup --component policy',
  ];
}
