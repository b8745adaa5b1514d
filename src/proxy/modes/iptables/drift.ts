import { TABLES } from '../../../iptables/model.ts';
import type { IptablesPrograms } from '../../../iptables/programs.ts';
import type { NodeEvents } from '../../../kernel/node-events.ts';
import type { IPFamily } from '../../../net/ip.ts';
import type { TableEvent } from '../../../nftables/monitor.ts';
import { type DriftOptions, DriftWatch } from '../drift-watch.ts';
import type { KernelRules } from './kernel-rules.ts';

export interface RulesDriftOptions extends DriftOptions {
  /** Who gives the notifications of the namespace that the rules are in. */
  readonly events: Pick<NodeEvents, 'onTables'>;
}

/** The legacy interface tells nobody of changes. */
const POLL_MS = { legacy: 5_000, nft: 60_000 } as const;
/**
 * Looks whether the rules are as they were written: after notifications where the kernel gives them
 * (nft variant), and from time to time.
 */
export function watchDrift(
  families: ReadonlyMap<IPFamily, KernelRules>,
  options: RulesDriftOptions,
): { close(): void } {
  const watches = Array.from(families, ([family, rules]) => {
    const { programs } = rules;
    const find = () => rules.findDrift();
    const watch = new DriftWatch(family, POLL_MS[programs.variant], find, options);
    return { watch, family, programs };
  });
  const notified = watches.filter(({ programs }) => programs.variant === 'nft');
  const socket =
    notified.length === 0
      ? undefined
      : options.events.onTables((event) => {
          for (const { watch, ...each } of notified) if (isMeant(event, each)) watch.note();
        });
  return {
    close() {
      socket?.close();
      for (const { watch } of watches) watch.close();
    },
  };
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
