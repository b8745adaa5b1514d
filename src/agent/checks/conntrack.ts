/** The table of connections. Pure. */
import { type Check, type Fact, known } from './check.ts';

export interface ConntrackFacts {
  /** Undefined: the kernel has not loaded connection tracking. */
  readonly table: Fact<{ readonly used: number; readonly most: number } | undefined>;
  /** Packets that were dropped for want of an entry: since the last look, or at the first one since the boot. */
  readonly refused: Fact<{ readonly count: number; readonly isSinceLast: boolean }>;
  /** Who has most of them; none while there is room. */
  readonly holders: readonly ConntrackHolder[];
}

export interface ConntrackHolder {
  /** An address, or the name of its pod. */
  readonly from: string;
  /** Of all connections. */
  readonly percent: number;
}

/** From which share of the table on it is told. */
const NEARLY_FULL = 0.8;
const FULL = 0.95;

/** Whether it is worth to find out who fills it. */
export function isNearlyFull({ used, most }: { readonly used: number; readonly most: number }) {
  return used >= most * NEARLY_FULL;
}

const table: Check<ConntrackFacts> = {
  id: 'conntrack-table',
  concernsTraffic: true,
  why: 'when the table is full, the first packets of new connections are dropped',
  judge: (facts) => {
    const filling = known(facts.table);
    if (filling === undefined) return { level: 'ok', seen: 'no connection is tracked yet' };
    const { used, most } = filling;
    const { count, isSinceLast } = known(facts.refused);
    const percent = Math.floor((100 * used) / most);
    const filled = `${used} of ${most} connections are tracked, ${percent} %`;
    // Where there is room, what was dropped was dropped for another reason.
    if (!isNearlyFull(filling)) return { level: 'ok', seen: filled };
    const isDropping = isSinceLast && count > 0;
    const who = facts.holders.map(({ from, percent: own }) => `${own} % from ${from}`).join(', ');
    const dropped = isDropping ? `; ${count} packets were dropped since the last look` : '';
    return {
      level: isDropping || used >= most * FULL ? 'failing' : 'warning',
      seen: `${filled}${dropped}${who === '' ? '' : `; ${who}`}`,
      cure:
        `raise proxy.conntrack.min (sysctl -w net.netfilter.nf_conntrack_max=${2 * most} helps at once), ` +
        'and look at who fills it',
    };
  },
};

export const CONNTRACK_CHECKS: readonly Check<ConntrackFacts>[] = [table];
