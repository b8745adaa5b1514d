import { ConfigError, toError } from '../util/errors.ts';
import type { Invocation } from './command-line.ts';
import type { CommandEffects } from './effects.ts';
import { UsageError } from './usage.ts';

/**
 * Runs one command to its end and gives the exit code: 0 done, 1 failure, 2 wrong command line or
 * configuration; commands with other codes say so in their help. Errors become `weft: ` lines on
 * standard error.
 */
export async function runCommand(
  parse: () => Promise<Invocation>,
  effects: CommandEffects,
): Promise<number> {
  let invocation: Invocation | undefined;
  try {
    invocation = await parse();
    if ('help' in invocation) {
      effects.print(`${invocation.help}\n`);
      return 0;
    }
    return await invocation.command.run(invocation.flags, effects);
  } catch (thrown) {
    const lines = toError(thrown).message.split('\n');
    effects.printError(lines.map((line) => `weft: ${line}\n`).join(''));
    const isUsage = thrown instanceof UsageError || thrown instanceof ConfigError;
    const command =
      invocation !== undefined && 'command' in invocation ? invocation.command : undefined;
    return isUsage || command?.answersWithOne ? 2 : 1;
  }
}
