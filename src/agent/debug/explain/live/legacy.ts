/**
 * What iptables-legacy does with packets: the kernel reports none of its rules to nftables, so that
 * counters before and after have to tell.
 */
import { findIptables, openIptablesPrograms } from '../../../../iptables/programs.ts';
import type { IPFamily } from '../../../../net/ip.ts';
import { readIfThere } from '../../../../util/files.ts';

const LEGACY_HOOKS = ['INPUT', 'FORWARD', 'OUTPUT'] as const;
export type LegacyHook = (typeof LEGACY_HOOKS)[number];

/** Packets by rule, as `iptables -S` prints it, of one chain of table filter. */
export type LegacyCounts = ReadonlyMap<string, number>;

export interface LegacyView {
  /** Tables that the kernel has of iptables-legacy. */
  readonly tables: readonly string[];
  readonly filter: Readonly<Partial<Record<LegacyHook, LegacyCounts>>>;
}

const NOTHING: LegacyView = { tables: [], filter: {} };
const TABLES_FILE = { 4: '/proc/net/ip_tables_names', 6: '/proc/net/ip6_tables_names' } as const;

/** Nothing where the kernel has no such tables; their names alone where the program is not installed. */
export async function readLegacy(family: IPFamily): Promise<LegacyView> {
  const tables = (readIfThere(TABLES_FILE[family]) ?? '').split('\n').filter((name) => name !== '');
  if (tables.length === 0) return NOTHING;
  const installed = await findIptables();
  if (!tables.includes('filter') || !installed.has('legacy')) return { tables, filter: {} };
  const programs = openIptablesPrograms(installed, 'legacy', family);
  const counts = await Promise.all(
    LEGACY_HOOKS.map(async (hook) => {
      return [hook, countsOf(await programs.listCounted('filter', hook))] as const;
    }),
  );
  return { tables, filter: Object.fromEntries(counts) };
}

/** `-P FORWARD DROP -c 12 720` and `-A FORWARD -s 10.0.0.0/8 -c 3 180 -j DROP`. Pure. */
export function countsOf(listed: string): LegacyCounts {
  const counts = new Map<string, number>();
  for (const line of listed.split('\n')) {
    const [whole, packets] = / -c (\d+) \d+/.exec(line) ?? [];
    if (whole !== undefined) counts.set(line.replace(whole, ''), Number(packets));
  }
  return counts;
}

/** Rules of the chain that have counted packets meanwhile and may drop them, the first that may. Pure. */
export function suspectsOf(
  hook: LegacyHook,
  before: LegacyView,
  after: LegacyView,
): readonly string[] {
  const counted = before.filter[hook];
  const met = [...(after.filter[hook] ?? [])].filter(([rule, packets]) => {
    return packets > (counted?.get(rule) ?? 0);
  });
  const drops = met.filter(([rule]) => /^-P \S+ DROP$| -j (DROP|REJECT)\b/.test(rule));
  const leads = met.filter(([rule]) => / -[jg] (?!ACCEPT\b|RETURN\b|DROP\b|REJECT\b)/.test(rule));
  return (drops.length > 0 ? drops : leads).map(([rule]) => rule);
}
