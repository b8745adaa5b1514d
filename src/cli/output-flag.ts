import { lastText } from '../agent/config/flag-text.ts';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import { UsageError } from './usage.ts';

/** Whether `--output json`, or `--json` where there is one, is given. Throws UsageError for another word. */
export function wantsJson(flags: FlagValues): boolean {
  const output = lastText(flags['output']) ?? (flags['json'] === true ? 'json' : 'text');
  if (output === 'json' || output === 'text') return output === 'json';
  throw new UsageError(`--output: expected text or json, found "${output}"`);
}
