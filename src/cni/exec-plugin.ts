import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { statSync, writeSync } from 'node:fs';
import { errorCode } from '../util/errors.ts';
import type { Ended, ExecPlugin, Execution } from './delegate.ts';

export interface ExecOptions {
  /** After that long a plugin is killed. */
  readonly timeoutMs: number;
  /** Holds up the calling thread, milliseconds. */
  readonly pause: (ms: number) => void;
}

/** Longest answer that is taken, bytes. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** A plugin that is being installed is busy for a moment; libcni waits as long and as often. */
const MAX_ATTEMPTS = 6;
const RETRY_AFTER_MS = 1000;

/** Runs plugins as child processes, which holds up this process; their stderr goes to ours. */
export function openExecPlugin({ timeoutMs, pause }: ExecOptions): ExecPlugin {
  const attempt = ({ file, env, stdin }: Execution): SpawnSyncReturns<string> =>
    spawnSync(file, [], {
      env: definedOf(env),
      input: stdin,
      encoding: 'utf8',
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: MAX_ANSWER_BYTES,
    });
  return {
    isRegularFile: (path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true,
    run: (execution) => {
      let result = attempt(execution);
      for (let tries = 1; tries < MAX_ATTEMPTS && isBusy(result); tries += 1) {
        pause(RETRY_AFTER_MS);
        result = attempt(execution);
      }
      if (result.stderr) writeSync(2, result.stderr);
      return endedOf(result, timeoutMs);
    },
  };
}

function isBusy({ error }: SpawnSyncReturns<string>): boolean {
  return errorCode(error) === 'ETXTBSY';
}

/** Without a process there is no output at all, not even an empty one. */
function endedOf(result: SpawnSyncReturns<string | null>, timeoutMs: number): Ended {
  const problem = problemOf(result, timeoutMs);
  return {
    exitCode: result.status ?? undefined,
    stdout: result.stdout ?? '',
    stderr: result.stderr ?? '',
    ...(problem === undefined ? {} : { problem }),
  };
}

/** A plugin that ends without reading its stdin is an EPIPE besides, which says nothing about it. */
function problemOf(
  { error, signal, status }: SpawnSyncReturns<string | null>,
  timeoutMs: number,
): string | undefined {
  if (errorCode(error) === 'ETIMEDOUT') return `no answer within ${timeoutMs / 1000} s`;
  if (signal !== null) return `signal: ${signal}`;
  return status === null ? error?.message : undefined;
}

function definedOf(env: Execution['env']): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
}
