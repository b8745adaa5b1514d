/** The tables of neighbours, which all links of the node share. Pure. */
import { type Check, type Fact, known } from './check.ts';

export interface NeighbourFacts {
  /** Undefined: the limits are those of another network namespace. */
  readonly tables: Fact<readonly NeighbourTable[]> | undefined;
}

export interface NeighbourTable {
  readonly name: 'ARP' | 'IPv6';
  readonly entries: number;
  /** gc_thresh3 */
  readonly most: number;
  /** The sysctl that says so. */
  readonly sysctl: string;
  /** How often there was no room, since the last look, or at the first one since the boot. */
  readonly full: { readonly count: number; readonly isSinceLast: boolean };
}

const NEARLY_FULL = 0.8;

const neighbours: Check<NeighbourFacts> = {
  id: 'neighbours',
  concernsTraffic: true,
  why: 'without room for its neighbour entry a pod or node is not reached: "neighbour table overflow"',
  judge: ({ tables }) => {
    if (tables === undefined) return undefined;
    const read = known(tables);
    const bad = read.find((table) => isFull(table) || table.entries >= table.most * NEARLY_FULL);
    if (bad === undefined) {
      const counts = read.map(({ name, entries, most }) => `${name} ${entries} of ${most}`);
      return { level: 'ok', seen: `entries of neighbours: ${counts.join(', ')}` };
    }
    const { name, entries, most, sysctl, full } = bad;
    const lost = isFull(bad) ? `; ${full.count} found no room since the last look` : '';
    return {
      level: isFull(bad) ? 'failing' : 'warning',
      seen: `${entries} of ${most} neighbour entries (${name}) are used${lost}`,
      cure: `sysctl -w ${sysctl.replaceAll('/', '.')}=${4 * most}; gc_thresh2 and gc_thresh1 in proportion`,
    };
  },
};

export const NEIGHBOUR_CHECKS: readonly Check<NeighbourFacts>[] = [neighbours];

function isFull({ full: { count, isSinceLast } }: NeighbourTable): boolean {
  return isSinceLast && count > 0;
}
