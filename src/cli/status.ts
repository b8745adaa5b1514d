/** `weft status`: one screen about the agent of this node, or the same as JSON. */

import { lastText } from '../agent/config/flag-text.ts';
import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import type { DiskStatus } from '../agent/debug/disk-status.ts';
import type { AgentStatus } from '../agent/debug/status.ts';
import { diskStatusText, statusText } from '../agent/debug/status-text.ts';
import { IoError } from '../util/errors.ts';
import { wantsJson } from './output-flag.ts';
import type { QuestionEffects } from './questions.ts';

export interface StatusEffects extends QuestionEffects {
  /** What is on record without an agent. */
  readonly readDiskStatus: (runDir: string) => DiskStatus;
  /** People read what is printed, on a screen that shows colours. */
  readonly isTerminal: boolean;
}

/** Prints how the agent is; 0 when it is healthy, else 1. */
export async function runStatus(flags: FlagValues, effects: StatusEffects): Promise<number> {
  const isJson = wantsJson(flags);
  const runDir = lastText(flags['run-dir']) ?? effects.runDir;
  let status: AgentStatus;
  try {
    // The agent answers a request of this command with this shape.
    status = (await effects.askAgent(runDir, { command: 'status' })) as AgentStatus;
  } catch (thrown) {
    if (!(thrown instanceof IoError)) throw thrown;
    tellWithoutAgent(thrown, runDir, isJson, effects);
    return 1;
  }
  effects.print(isJson ? json(status) : statusText(status, { hasColors: effects.isTerminal }));
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
function tellWithoutAgent(
  failure: IoError,
  runDir: string,
  isJson: boolean,
  { readDiskStatus, isTerminal, print }: StatusEffects,
): void {
  let onRecord: DiskStatus;
  try {
    onRecord = readDiskStatus(runDir);
  } catch {
    throw failure;
  }
  const { message } = failure;
  const answer = { isRunning: false, isHealthy: false, problems: [message], onRecord };
  print(isJson ? json(answer) : diskStatusText(message, onRecord, { hasColors: isTerminal }));
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
