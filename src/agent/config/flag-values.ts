import { lastText, texts } from './flag-text.ts';
import type { AnySetting, SettingTable } from './setting.ts';
import { isSetting } from './setting.ts';

/** What flags give of a table's rows, by the file's names; a repeated flag counts the last time, a list whole. */
export function flagValues(
  table: SettingTable,
  values: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const given = Object.entries(table).flatMap(([key, row]) => {
    const value = isSetting(row) ? values[row.flag ?? ''] : undefined;
    return value === undefined || !isSetting(row) ? [] : [[key, settingOf(row, value)] as const];
  });
  return Object.fromEntries(given);
}

/** A word where a number belongs becomes none, and is refused with what was expected. */
function settingOf({ kind }: AnySetting, given: unknown): unknown {
  const last = lastText(given) ?? '';
  if (kind === 'boolean') return last === 'true';
  if (kind === 'integer') return /^\d+$/.test(last) ? Number(last) : Number.NaN;
  if (kind !== 'list') return last;
  const parts = texts(given).flatMap((text) => text.split(','));
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}
