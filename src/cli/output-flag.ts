import { lastText } from '../agent/config/flag-text.ts';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import type { Declaration } from './declaration.ts';
import { textFlags } from './question.ts';
import { UsageError } from './usage.ts';

export type Output = 'text' | 'wide' | 'json';

/** The one way to ask for JSON; `wide` for lists. */
export function declareOutput(declaration: Declaration, words = 'text or json'): Declaration {
  return textFlags(declaration)('output', `${words} [default: text]`);
}

/** The same with `--json`, which some commands had before. */
export function declareOutputAndJson(declaration: Declaration): Declaration {
  declareOutput(declaration);
  return declaration.option('json', { type: 'boolean', describe: 'The same as --output json' });
}

/** Whether `--output json`, or `--json` where there is one, is given. Throws UsageError for another word. */
export function wantsJson(flags: FlagValues): boolean {
  return outputOf(flags, ['text', 'json']) === 'json';
}

/** What lists are printed as. Throws UsageError for another word. */
export function outputOf(
  flags: FlagValues,
  words: readonly Output[] = ['text', 'wide', 'json'],
): Output {
  const given = lastText(flags['output']) ?? (flags['json'] === true ? 'json' : 'text');
  const output = words.find((word) => word === given);
  if (output !== undefined) return output;
  const expected = `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  throw new UsageError(`--output: expected ${expected}, found "${given}"`);
}
