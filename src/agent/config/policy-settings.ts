import type { KeyPath, Origin } from './document.ts';
import { parseGoDuration } from './go-duration.ts';
import { boolean, duration, fillTable, type ValuesOf, word } from './setting.ts';
import { SettingsReader } from './settings-reader.ts';

/** A runtime gives up a call after two minutes, and the shim before it. */
const MOST_WAIT_MS = 60_000;

/** The section `policy` of the agent's file. */
export const POLICY_SETTINGS = {
  deniedInside: word(
    ['reject', 'drop'],
    'reject',
    'What pods and nodes are answered when a policy denies: reject, or nothing (drop); the outside never is',
    { isLive: true },
  ),
  waitForPolicies: duration(
    '5s',
    'How long a new pod waits for what decides about it, before its start is put off; at most 1m',
    { min: 1, isLive: true },
  ),
  logDenied: boolean(
    true,
    'Tell of denied connections: in the log, in Events, to weft policy denied',
    { isLive: true },
  ),
} as const;

export type PolicySettings = ValuesOf<typeof POLICY_SETTINGS>;

/** Checks a section whose types are right. Throws one ConfigError that lists every wrong field. */
export function resolvePolicySettings(
  file: Partial<PolicySettings>,
  origin: Origin,
): PolicySettings {
  // The table is what the type is made of.
  const values = fillTable(POLICY_SETTINGS, file) as PolicySettings;
  const reader = new SettingsReader((path: KeyPath) => origin(['policy', ...path]));
  reader.limits(POLICY_SETTINGS, values);
  if (waitOf(values) > MOST_WAIT_MS) {
    const found = values.waitForPolicies;
    reader.problem(['waitForPolicies'], `expected at most 1m, found ${found}`);
  }
  reader.throwProblems();
  return values;
}

/** Milliseconds that a new pod waits for what decides about it. */
export function waitOf({ waitForPolicies }: PolicySettings): number {
  return parseGoDuration(waitForPolicies) ?? 0;
}
