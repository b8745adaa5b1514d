/**
 * Plugins that this one executes: how they are found, what they are told and what their answers mean.
 * Follows libcni's pkg/invoke; running the process is left to `ExecPlugin`.
 */
import { join } from 'node:path';
import { toError } from '../util/errors.ts';
import { CNI_ERROR_CODE, CniError } from './protocol/errors.ts';
import { isJsonObject, memberOf } from './protocol/json.ts';
import { parseResult, resultVersion } from './protocol/parse-result.ts';
import type { Environment, Request, Verb } from './protocol/request.ts';
import type { Result } from './protocol/result.ts';

export interface Execution {
  readonly file: string;
  readonly env: Environment;
  readonly stdin: Buffer;
}

export interface Ended {
  /** Undefined when a signal ended it, or it could not be started. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Why there is no exit code: `signal: killed`, `exec format error`, `no answer within 100 s`. */
  readonly problem?: string;
}

export interface ExecPlugin {
  isRegularFile(path: string): boolean;
  /** Runs to its end and passes its stderr on. Never throws. */
  run(execution: Execution): Ended;
}

/**
 * Executes `type` with another verb, everything else as it came; its stdout. Throws CniError with the
 * code and text the delegate answered.
 */
export function execDelegate(exec: ExecPlugin, request: Request, type: string, verb: Verb): string {
  const file = findPlugin(exec, type, request.path);
  // What we were executed as means nothing to the delegate.
  const { WEFT_ARGV0: _name, WEFT_CALL: _call, ...env } = request.env;
  const ended = exec.run({ file, env: { ...env, CNI_COMMAND: verb }, stdin: request.stdin });
  if (ended.exitCode === 0) return ended.stdout;
  throw delegateError(ended);
}

/** The first directory of CNI_PATH with a regular file of that name; it need not be executable. */
export function findPlugin(
  exec: Pick<ExecPlugin, 'isRegularFile'>,
  name: string,
  directories: readonly string[],
): string {
  if (name === '') throw notFound('no plugin name provided');
  if (name.includes('/')) throw notFound(`invalid plugin name: ${name}`);
  if (directories.length === 0) throw notFound('no paths provided');
  const found = directories.map((directory) => join(directory, name)).find(exec.isRegularFile);
  if (found !== undefined) return found;
  throw notFound(`failed to find plugin "${name}" in path [${directories.join(' ')}]`);
}

/**
 * A delegate's answer to ADD, in the terms of 1.1.0. A result without a version has that of the
 * configuration. Throws CNI code 6.
 */
export function parseDelegateResult(stdout: string, request: Request): Result {
  try {
    const value: unknown = JSON.parse(stdout);
    const own = isJsonObject(value) ? resultVersion(value) : undefined;
    return parseResult(value, own ?? request.cniVersion);
  } catch (cause) {
    const message = `invalid result of the IPAM plugin: ${toError(cause).message}`;
    throw new CniError(CNI_ERROR_CODE.decodingFailure, message, undefined, { cause });
  }
}

/** The words runtimes know from libcni, except that a killed delegate is told by its reason. */
function delegateError({ exitCode, stdout, stderr, problem }: Ended): CniError {
  const ending = problem ?? `exit status ${exitCode}`;
  if (stdout === '') {
    const said = stderr === '' ? ' with no error message' : `: ${JSON.stringify(stderr)}`;
    return new CniError(CNI_ERROR_CODE.internal, `netplugin failed${said}: ${ending}`);
  }
  try {
    return decodeError(JSON.parse(stdout), ending);
  } catch (cause) {
    const text = JSON.stringify(stdout);
    const reason = toError(cause).message;
    return new CniError(
      CNI_ERROR_CODE.internal,
      `netplugin failed but error parsing its diagnostic message ${text}: ${reason}`,
      undefined,
      { cause },
    );
  }
}

function decodeError(answer: unknown, ending: string): CniError {
  if (!isJsonObject(answer)) throw new Error('not a JSON object');
  const code = memberOf(answer, 'code');
  const message = memberOf(answer, 'msg');
  const details = memberOf(answer, 'details');
  return new CniError(
    typeof code === 'number' && Number.isInteger(code) && code > 0 ? code : CNI_ERROR_CODE.internal,
    typeof message === 'string' && message !== '' ? message : `netplugin failed: ${ending}`,
    typeof details === 'string' ? details : undefined,
  );
}

function notFound(message: string): CniError {
  return new CniError(CNI_ERROR_CODE.invalidNetworkConfig, message);
}
