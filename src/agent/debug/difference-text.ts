/** Differences in words, for the terminal. */
import type { Difference, TableDifference } from '../../proxy/modes/nftables/difference.ts';

const CAUSES = {
  pending: 'on its way to the kernel',
  drift: 'changed by somebody else, or not yet repaired',
} as const;

/** What `weft diff` prints. */
export function differenceText(tables: readonly TableDifference[]): string {
  return tables.flatMap(tableLines).join('\n').concat('\n');
}

/** Whether anything would be changed. */
export function hasDifferences(tables: readonly TableDifference[]): boolean {
  return tables.some(({ state, differences }) => state !== 'asDefined' || differences.length > 0);
}

function tableLines({ table, state, differences }: TableDifference): readonly string[] {
  if (state === 'missing') return [`table ${table}: missing, would be made`];
  if (state === 'otherMake') {
    return [
      `table ${table}: its sets, chains or rules are not as they should be, would be made anew`,
    ];
  }
  if (differences.length === 0) return [`table ${table}: as it should be`];
  const groups = Map.groupBy(differences, ({ cause }) => cause);
  return [
    `table ${table}: ${differences.length} differences`,
    ...[...groups].flatMap(([cause, group]) => [
      `  ${CAUSES[cause]}:`,
      ...group.map((difference) => `    ${differenceLine(difference)}`),
    ]),
  ];
}

/** `+ service-ips 10.96.0.1 . tcp . 80 -> goto n3 (default/web:http)` */
function differenceLine({ sign, place, key, found, wanted, servicePort }: Difference): string {
  const value =
    sign === '~' ? `: ${found ?? ''} -> ${wanted ?? 'as it should be'}` : dataOf(wanted ?? found);
  return `${sign} ${place} ${key}${value}${servicePort === undefined ? '' : ` (${servicePort})`}`;
}

function dataOf(data: string | undefined): string {
  return data === undefined ? '' : ` -> ${data}`;
}
