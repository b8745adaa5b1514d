/** The agent's configuration file with every setting in it, from the rows that settings are made of. */
import { stringify } from 'yaml';
import { AGENT_SETTINGS } from '../../src/agent/config/agent-settings.ts';
import { KUBE_PROXY_SETTINGS } from '../../src/agent/config/kube-proxy-settings.ts';
import {
  type AnySetting,
  isSetting,
  type SettingTable,
  shownDefault,
} from '../../src/agent/config/setting.ts';

const head = (
  restart: string,
) => `# Every setting with its default, as a comment; docs/settings.md has the same as a table. Set what
# differs here, or in a file of its own beside this one: later names go over earlier ones. What is
# marked "live" is taken over by running agents within a minute or two; for the others restart them:
#   ${restart}
`;

const FLOW = { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 } as const;

/** What differs from the defaults, by section. */
export interface GivenSettings {
  readonly [key: string]: unknown;
}

/** YAML in which all but `given` is commented out with `#` alone, and prose with `# `. */
export function settingsFile(given: GivenSettings, restart: string): string {
  const table: SettingTable = { ...AGENT_SETTINGS, proxy: KUBE_PROXY_SETTINGS };
  return head(restart) + sectionLines(table, given, '').join('\n').concat('\n');
}

function sectionLines(
  table: SettingTable,
  given: GivenSettings,
  indent: string,
): readonly string[] {
  return Object.entries(table).flatMap(([key, entry]) => {
    const value = given[key];
    if (isSetting(entry)) return isOfUse(entry) ? rowLines(key, entry, value, indent) : [];
    const section = typeof value === 'object' && value !== null ? { ...value } : undefined;
    const inner = sectionLines(entry, section ?? {}, `${indent}  `);
    if (inner.length === 0) return [];
    return [
      ...(indent === '' ? [''] : []),
      line(`${key}:`, indent, section !== undefined),
      ...inner,
    ];
  });
}

/** Fields that kube-proxy's files may have and that do nothing here are no settings to choose. */
function isOfUse(row: AnySetting): boolean {
  return !('isIgnored' in row) && !row.describe.startsWith('Accepted');
}

function rowLines(key: string, row: AnySetting, value: unknown, indent: string): readonly string[] {
  const isGiven = value !== undefined;
  const shown = shownDefault(row);
  const notes = [
    ...unsaidChoices(row),
    ...(shown === undefined || isPlain(row, shown) ? [] : [`default: ${shown}`]),
    ...(row.isLive === true ? ['live'] : []),
  ];
  const words = notes.length === 0 ? row.describe : `${row.describe} (${notes.join('; ')})`;
  const text = isGiven ? yamlOf(key, value) : yamlOf(key, plainDefault(row));
  return [`${indent}# ${words}`, line(text, indent, isGiven)];
}

function unsaidChoices({ choices = [], describe }: AnySetting): readonly string[] {
  const words = choices.map(String);
  return words.every((word) => describe.includes(word)) ? [] : [words.join(', ')];
}

/** Whether the line itself shows the default. */
function isPlain(row: AnySetting, shown: string): boolean {
  return String(plainDefault(row)) === shown;
}

function plainDefault({ fallback, shown }: AnySetting): unknown {
  const isUnset = fallback === undefined || typeof fallback === 'function' || fallback === '';
  if (!isUnset) return fallback;
  return shown === undefined || fallback !== '' ? null : fallback;
}

function yamlOf(key: string, value: unknown): string {
  if (value === null) return `${key}:`;
  return stringify({ [key]: value }, FLOW)
    .trim()
    .slice(1, -1);
}

function line(text: string, indent: string, isGiven: boolean): string {
  return isGiven ? indent + text : `${indent}#${text}`;
}
