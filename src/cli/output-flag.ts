import type { Argv } from 'yargs';
import { lastText } from '../agent/config/flag-text.ts';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import { textFlags } from './question.ts';
import { UsageError } from './usage.ts';

export function declareOutput(parser: Argv): Argv {
  return textFlags(parser)('output', 'text or json [default: text]');
}

/** Whether `--output json`, or `--json` where there is one, is given. Throws UsageError for another word. */
export function wantsJson(flags: FlagValues): boolean {
  const output = lastText(flags['output']) ?? (flags['json'] === true ? 'json' : 'text');
  if (output === 'json' || output === 'text') return output === 'json';
  throw new UsageError(`--output: expected text or json, found "${output}"`);
}
