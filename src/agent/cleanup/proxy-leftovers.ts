import { FABRIC_TABLE } from '../../fabric/table/definition.ts';
import type { Table } from '../../nftables/model.ts';
import { ownNamespaceTables, removeTable } from '../../nftables/own-namespace.ts';
import { tableText } from '../../nftables/text.ts';
import { RULES, type RulesKind } from '../../proxy/modes/names.ts';
import { supportedFamilies } from '../proxy/open-mode.ts';
import { removeRules } from '../proxy/remove-rules.ts';
import { readRulesRecord } from '../proxy/rules-record.ts';
import { takeOverKernel } from '../proxy/take-over-kernel.ts';
import { FLOW_SYSCTL_RECORD, SYSCTL_RECORD } from '../sysctl-record.ts';
import { CNI_ENTRIES, isCniTable } from './cni-leftovers.ts';
import { type CleanupOptions, filesIn, type Leftover } from './leftover.ts';

/** Every table of weft's begins so; nobody else's does. */
const TABLE_PREFIX = 'weft-';
const OUR_FAMILIES: readonly string[] = ['ip', 'ip6', 'inet', 'bridge'];

/** Where Services are in kube-proxy's two modes that nf_tables shows. */
const RIVAL_TABLES: readonly Table[] = [
  { family: 'ip', name: 'kube-proxy' },
  { family: 'ip6', name: 'kube-proxy' },
];
const IPTABLES_TABLES: readonly Table[] = [
  { family: 'ip', name: 'nat' },
  { family: 'ip6', name: 'nat' },
];
const IPTABLES_CHAIN = 'KUBE-SERVICES';
/** In the run directory, for as long as any component is there. */
const OF_NO_SIDE: readonly string[] = ['agent.lock', SYSCTL_RECORD, FLOW_SYSCTL_RECORD];

/** Begins the names of the files in the state directory, finished ones and those of a killed writer. */
const STATE_FILE_PREFIX = 'last-known-objects.';

/**
 * Tables, rules in iptables that are on record as ours, and files. Without a successor's rules in the
 * kernel they are what the node's Services are served by.
 */
export function leftoversOfProxy(options: CleanupOptions): readonly Leftover[] {
  const { components, runDir, stateDir, isForced } = options;
  if (!components.includes('proxy')) return [];
  const kinds = [...readRulesRecord(runDir)];
  const tables = ownNamespaceTables().filter(isOurs);
  const inIptables = kinds.filter((kind) => kind !== 'nftables');
  const rules = [
    ...inIptables.flatMap((kind) => rulesOf(kind, kinds)),
    ...tables.map((table) => ({
      text: `table ${tableText(table)}`,
      isNeeded: !isServedByOthers(kinds),
      remove: () => removeTable(table),
    })),
  ];
  // Of rules that stay the record stays, and a start without the API server needs the objects.
  if (!isForced && rules.some(({ isNeeded }) => isNeeded)) return rules;
  return [
    ...rules,
    ...filesIn(stateDir, (entry) => entry.startsWith(STATE_FILE_PREFIX)),
    ...filesIn(runDir, (entry) => !OF_NO_SIDE.includes(entry) && !CNI_ENTRIES.includes(entry)),
  ];
}

function rulesOf(kind: RulesKind, kinds: readonly RulesKind[]): readonly Leftover[] {
  return supportedFamilies().map((family) => ({
    text: `${nounOf(kind)}, IPv${family}`,
    isNeeded: !isServedByOthers(kinds),
    remove: () => removeRules(kind, family),
  }));
}

/** To be asked once our own rules are gone. */
export function isOtherProxyThere(): boolean {
  return isServedByOthers([]);
}

/**
 * Whether another proxy serves. Chains in iptables have the same names as ours: where we have some, a
 * kube-proxy that runs may have made them its own.
 */
function isServedByOthers(kinds: readonly RulesKind[]): boolean {
  if (RIVAL_TABLES.some((table) => takeOverKernel.hasTable(table))) return true;
  if (kinds.some((kind) => RULES[kind].variant !== undefined)) return false;
  if (IPTABLES_TABLES.some((table) => takeOverKernel.hasChain(table, IPTABLES_CHAIN))) return true;
  return takeOverKernel.kubeProxy() !== undefined;
}

function nounOf(kind: RulesKind): string {
  const { mode } = RULES[kind];
  if (mode === 'userspace') return 'addresses of Services on lo';
  return mode === 'ipvs'
    ? 'virtual servers, sets and chains of Services'
    : `chains of Services in ${kind}`;
}

function isOurs(table: Table): boolean {
  const isWefts = OUR_FAMILIES.includes(table.family) && table.name.startsWith(TABLE_PREFIX);
  return isWefts && !isCniTable(table) && tableText(table) !== tableText(FABRIC_TABLE);
}
