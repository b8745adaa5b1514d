/** Whether a kernel takes the tables of this mode, found out by trying and without a trace. */
import type { IPFamily } from '../../../net/ip.ts';
import { jhash, numgenRandom } from '../../../nftables/generators.ts';
import type { BaseChain, Chain, NamedSet, TableDefinition } from '../../../nftables/model.ts';
import { ct, fib } from '../../../nftables/selectors.ts';
import { dnatToMap, masquerade, match, reject } from '../../../nftables/statements.ts';
import { Transaction } from '../../../nftables/transaction.ts';
import { errorCode, IoError, toError } from '../../../util/errors.ts';
import type { LayoutOptions } from '../../layout-options.ts';
import { rule } from './chain-names.ts';
import { fieldsOf, SLOT } from './fields.ts';
import { proxyTable, tableDefinition } from './layout.ts';
import { nodeChains } from './node-chains.ts';
import { slotChain } from './slot-chains.ts';

/** Has the kernel check a transaction that never takes effect; throws what it says against it. */
export type CheckTransaction = (transaction: Transaction) => void;

/** One thing the tables are made of, and the kernel option that has it. */
interface Feature {
  readonly option: string;
  readonly sets?: readonly NamedSet[];
  readonly chains: readonly Chain[];
}

const NO_RIGHTS: readonly (string | undefined)[] = ['EPERM', 'EACCES'];

/**
 * Has the kernel check the tables of these families with every kind of chain that Services need.
 * Throws IoError that names what is missing.
 */
export function probeTables(check: CheckTransaction, families: readonly IPFamily[]): void {
  for (const family of families) {
    try {
      check(transactionOf(wholeTable(family)));
    } catch (cause) {
      throw new IoError(diagnose(check, family, cause), { cause });
    }
  }
}

function diagnose(check: CheckTransaction, family: IPFamily, refusal: unknown): string {
  const { message } = toError(refusal);
  if (NO_RIGHTS.includes(errorCode(refusal))) return `${message}; it needs CAP_NET_ADMIN`;
  const missing = features(family).find((feature) => !passes(check, family, feature));
  if (missing === undefined) return `${message}; it needs kernel 5.13`;
  return `the kernel has no ${missing.option}; load its module or use a kernel with it`;
}

function passes(check: CheckTransaction, family: IPFamily, feature: Feature): boolean {
  const { sets = [], chains } = feature;
  try {
    check(transactionOf({ table: probeTable(family), sets, chains }));
    return true;
  } catch {
    return false;
  }
}

/** A name of its own, so that a table that is in use is left out of it. */
function probeTable(family: IPFamily) {
  return { ...proxyTable(family), name: 'weft-probe' };
}

function wholeTable(family: IPFamily): TableDefinition {
  const layout: LayoutOptions = {
    family,
    acceptsOnAllAddresses: false,
    localDetector: undefined,
    masqueradesAll: false,
    serviceCIDRs: [],
  };
  const { sets, chains } = tableDefinition(layout);
  const slotChains = [false, true].flatMap((isHashed) =>
    [undefined, 60].map((affinitySeconds) =>
      slotChain(family, {
        ...{ kind: 'address', scope: 'everybody', count: 2, isLocal: false },
        ...{ isHashed, affinitySeconds },
      }),
    ),
  );
  const all = [...chains, ...nodeChains(layout), ...slotChains];
  return { table: probeTable(family), sets, chains: all };
}

function transactionOf({ table, sets, chains }: TableDefinition): Transaction {
  const transaction = new Transaction(table).addTable();
  for (const set of sets) transaction.addSet(set);
  for (const chain of chains) transaction.addChain({ ...chain, rules: [] });
  for (const { name, rules } of chains) for (const each of rules) transaction.addRule(name, each);
  return transaction;
}

/** In the order in which one needs the other. */
function features(family: IPFamily): readonly Feature[] {
  const { saddr, target } = fieldsOf(family);
  const base = (type: BaseChain['type'], hook: BaseChain['hook'], priority: number) => ({
    ...{ type, hook, priority },
  });
  const regular = (...statements: Parameters<typeof rule>[0]) => [
    { name: 'feature', rules: [rule(statements)] },
  ];
  const inHook = (hooked: BaseChain, ...statements: Parameters<typeof rule>[0]) => [
    { name: 'feature', base: hooked, rules: statements.length === 0 ? [] : [rule(statements)] },
  ];
  const number = '\0\0\0\0';
  const slots: NamedSet = { name: 'slots', key: [SLOT], data: target };
  const protocol = family === 4 ? 'ip' : 'ip6';
  const dnat = dnatToMap(protocol, [numgenRandom(2)], slots.name);
  return [
    {
      option: `CONFIG_NF_TABLES with CONFIG_NF_TABLES_IPV${family}`,
      chains: inHook(base('filter', 'input', 0)),
    },
    { option: 'CONFIG_NFT_CT', chains: regular(match(ct.status, '!=', number)) },
    { option: `CONFIG_NFT_FIB_IPV${family}`, chains: regular(match(fib.daddrType, '==', number)) },
    { option: 'CONFIG_NFT_NUMGEN', chains: regular(match(numgenRandom(2), '==', number)) },
    { option: 'CONFIG_NFT_HASH', chains: regular(match(jhash([saddr], 2), '==', number)) },
    { option: 'CONFIG_NFT_REJECT', chains: regular(reject()) },
    { option: 'CONFIG_NFT_NAT', chains: inHook(base('nat', 'prerouting', -100)) },
    { option: 'CONFIG_NFT_NAT', sets: [slots], chains: inHook(base('nat', 'output', -100), dnat) },
    {
      option: 'CONFIG_NFT_MASQ',
      chains: inHook(base('nat', 'postrouting', 100), masquerade({ isFullyRandom: true })),
    },
  ];
}
