/** `weft status`: one screen about the agent of this node, or the same as JSON. */

import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import type { DiskStatus } from '../../agent/debug/disk-status.ts';
import { diskStatusText, statusText } from '../../agent/debug/status-text.ts';
import type { AgentStatus } from '../../agent/status/values.ts';
import { IoError } from '../../util/errors.ts';
import { prettyJson } from '../../util/json.ts';
import type { Command } from '../command.ts';
import type { CommandEffects } from '../effects.ts';
import { declareOutputAndJson, wantsJson } from '../output-flag.ts';
import { declareRunDir, type QuestionEffects, runDirOf } from '../question.ts';

type StatusEffects = QuestionEffects & Pick<CommandEffects, 'readDiskStatus' | 'isTerminal'>;

const EPILOGUE = `Asks the running agent how it is: the proxy's mode and why it is that, Services and endpoints by
family, the last sync and what waits for the next, where objects come from, pods and their
addresses, memory. Without an agent it tells what is on record on disk.

Exit codes: 0 healthy, 1 not healthy or not running, 2 wrong command line.

Examples:
  weft status
  weft status --output json --run-dir /run/weft`;

export const statusCommand: Command = {
  name: 'status',
  describe: 'Tell how the agent of this node is',
  declare: (declaration) => {
    declaration.usage('weft status [flags]').epilogue(EPILOGUE);
    return declareRunDir(declareOutputAndJson(declaration));
  },
  run: runStatus,
};

/** Prints how the agent is; 0 when it is healthy, else 1. */
export async function runStatus(flags: FlagValues, effects: StatusEffects): Promise<number> {
  const isJson = wantsJson(flags);
  const runDir = runDirOf(flags, effects);
  let status: AgentStatus;
  try {
    // The agent answers a request of this command with this shape.
    status = (await effects.askAgent(runDir, { command: 'status' })) as AgentStatus;
  } catch (thrown) {
    if (!(thrown instanceof IoError)) throw thrown;
    await tellWithoutAgent(thrown, runDir, isJson, effects);
    return 1;
  }
  effects.print(
    isJson ? prettyJson(status) : statusText(status, { hasColors: effects.isTerminal }),
  );
  return status.isHealthy ? 0 : 1;
}

/** Components of the agent that runs; undefined where none answers. */
export async function servedComponents(
  runDir: string,
  { askAgent }: QuestionEffects,
): Promise<readonly string[] | undefined> {
  try {
    return ((await askAgent(runDir, { command: 'status' })) as AgentStatus).components;
  } catch (thrown) {
    if (thrown instanceof IoError) return undefined;
    throw thrown;
  }
}

/** Throws the failure itself where not even the records can be read: only root may do either. */
async function tellWithoutAgent(
  failure: IoError,
  runDir: string,
  isJson: boolean,
  { readDiskStatus, isTerminal, print }: StatusEffects,
): Promise<void> {
  let onRecord: DiskStatus;
  try {
    onRecord = await readDiskStatus(runDir);
  } catch {
    throw failure;
  }
  const { message } = failure;
  const answer = { isRunning: false, isHealthy: false, problems: [message], onRecord };
  print(isJson ? prettyJson(answer) : diskStatusText(message, onRecord, { hasColors: isTerminal }));
}
