/** What `weft agent` and `weft proxy` have in common. */
import type { AgentConfig } from '../agent/config/agent-config.ts';
import { lastText } from '../agent/config/flag-text.ts';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import { fileFailure } from '../util/errno.ts';
import { IoError } from '../util/errors.ts';
import type { CommandEffects } from './effects.ts';

type ReadConfig = (flags: FlagValues, effects: CommandEffects) => AgentConfig;

/** Runs the agent until it has stopped. */
export async function startAgent(
  flags: FlagValues,
  readConfig: ReadConfig,
  effects: CommandEffects,
): Promise<void> {
  const path = lastText(flags['config']);
  const read = () => readConfig(flags, effects);
  await effects.runAgent(read(), path === undefined ? undefined : { path, read });
}

/** Throws IoError, which names the flag and the path. */
export function readText(flag: string, path: string, { readFile }: CommandEffects): string {
  try {
    return readFile(path);
  } catch (cause) {
    throw new IoError(`${flag}: read ${path}: ${fileFailure(cause)}`, {
      cause,
    });
  }
}
