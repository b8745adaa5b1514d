/** The chains that hold rules of all ServicePorts. */

import type { RuleChain, TableName } from '../../../iptables/model.ts';
import { CHAIN } from './chain-names.ts';
import type { PortRules } from './fragment.ts';

type SharedRules = PortRules['shared'];

const HOMES: Readonly<Record<keyof SharedRules, readonly [TableName, string]>> = {
  filterNodePorts: ['filter', CHAIN.nodePorts],
  filterServices: ['filter', CHAIN.services],
  filterExternal: ['filter', CHAIN.externalServices],
  filterFirewall: ['filter', CHAIN.proxyFirewall],
  natNodePorts: ['nat', CHAIN.nodePorts],
  natServices: ['nat', CHAIN.services],
};

/** The chains made of these parts, in their order; `last` ends the Services of table nat. */
export function sharedChains(
  parts: Iterable<SharedRules>,
  last: readonly string[],
): readonly RuleChain[] {
  const all = [...parts];
  // The keys are those of the record, all of them.
  return (Object.keys(HOMES) as (keyof SharedRules)[]).map((key) => {
    const [table, name] = HOMES[key];
    const rules = all.flatMap((part) => part[key]);
    return { table, name, rules: key === 'natServices' ? [...rules, ...last] : rules };
  });
}

/** The rules of several ServicePorts, one after the other. */
export function joinShared(parts: readonly SharedRules[]): SharedRules {
  const joined = (key: keyof SharedRules) => parts.flatMap((part) => part[key]);
  return {
    // The same health check for all ports of a Service.
    filterNodePorts: joined('filterNodePorts').slice(0, 1),
    filterServices: joined('filterServices'),
    filterExternal: joined('filterExternal'),
    filterFirewall: joined('filterFirewall'),
    natNodePorts: joined('natNodePorts'),
    natServices: joined('natServices'),
  };
}
