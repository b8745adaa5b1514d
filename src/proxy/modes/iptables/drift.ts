import { TABLES } from '../../../iptables/model.ts';
import type { IptablesPrograms } from '../../../iptables/programs.ts';
import type { NodeEvents, Watch } from '../../../kernel/node-events.ts';
import type { IPFamily } from '../../../net/ip.ts';
import type { TableEvent } from '../../../nftables/monitor.ts';
import { type DriftOptions, DriftWatch, together } from '../drift-watch.ts';
import type { Drift, DriftListener, ModeNode } from '../mode.ts';
import type { KernelRules } from './kernel-rules.ts';

export interface RulesDriftOptions extends DriftOptions {
  /** Who gives the notifications of the namespace that the rules are in. */
  readonly events: Pick<NodeEvents, 'onTables'>;
}

/** The legacy interface tells nobody of changes. */
const POLL_MS = { legacy: 5_000, nft: 60_000 } as const;
/** Chains and jumps that one note names; more are counted. */
const MOST_NAMED = 3;

/** Tells of changes in chains of ours, and of transactions in nftables. */
export function watchRules(
  { clock, log, nodeEvents }: Pick<ModeNode, 'clock' | 'log' | 'nodeEvents'>,
  rules: ReadonlyMap<IPFamily, KernelRules>,
  { onDrift, onForeignChange }: DriftListener,
): Watch {
  const drift = watchDrift(rules, {
    clock,
    events: nodeEvents,
    onDrift: (family, what) => onDrift(toDrift(family, what)),
    onError: (family, err) => log.warn({ family, err }, 'rules not looked at, trying again'),
  });
  const tables = nodeEvents.onTables((event) => {
    if (event !== 'overflow') onForeignChange(event.tables);
  });
  return together([tables, drift]);
}

/** `changes`: `nat KUBE-SERVICES`, or `nat OUTPUT -j KUBE-SERVICES`. */
export function toDrift(family: IPFamily, changes: readonly string[]): Drift {
  const protocol = family === 4 ? 'ip' : 'ip6';
  const tables = new Set(changes.map((change) => `${protocol} ${change.split(' ', 1)[0] ?? ''}`));
  const named = changes.slice(0, MOST_NAMED).map((change) => `${protocol} ${change}`);
  const others = changes.length - named.length;
  const what = others === 0 ? named.join(', ') : `${named.join(', ')} and ${others} more`;
  return { family, tables: [...tables], what, by: 'unknown: iptables does not tell' };
}

/**
 * Looks whether the rules are as they were written: after notifications where the kernel gives them
 * (nft variant), and from time to time.
 */
export function watchDrift(
  families: ReadonlyMap<IPFamily, KernelRules>,
  options: RulesDriftOptions,
): Watch {
  const watched = Array.from(families, ([family, rules]) => {
    const { programs } = rules;
    const find = () => rules.findDrift();
    const watch = new DriftWatch(family, POLL_MS[programs.variant], find, options);
    return { watch, family, programs };
  });
  const watches: Watch[] = watched.map(({ watch }) => watch);
  const notified = watched.filter(({ programs }) => programs.variant === 'nft');
  if (notified.length > 0) {
    const onEvent = (event: TableEvent | 'overflow') => {
      for (const { watch, ...each } of notified) if (isMeant(event, each)) watch.note();
    };
    watches.unshift(options.events.onTables(onEvent));
  }
  return together(watches);
}

/** Not when the change was our own or is of other tables. */
function isMeant(
  event: TableEvent | 'overflow',
  { family, programs }: { readonly family: IPFamily; readonly programs: IptablesPrograms },
): boolean {
  if (event === 'overflow') return true;
  if (programs.isOwnPort(event.byPortId)) return false;
  return TABLES.some((table) => event.tables.has(`${family === 4 ? 'ip' : 'ip6'} ${table}`));
}
