import { toCniError } from './errors.ts';
import { indentedJson } from './json.ts';
import { guessVersion, type Verb } from './request.ts';
import { CURRENT_VERSION } from './versions.ts';

/** What the process prints and how it ends; stdout holds a result, an error or nothing. */
export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** For logs and metrics: what the call turned out to be, as far as it could be made out. */
  readonly summary?: CallSummary;
}

export interface CallSummary {
  readonly verb?: Verb;
  /** Name of the plugin that served the call. */
  readonly plugin?: string;
  readonly network?: string;
  /** Addresses of the result. */
  readonly ips?: readonly string[];
  /** CNI error code and its message; absent on success. */
  readonly errorCode?: number;
  readonly error?: string;
}

/** Success with nothing to print. */
export const NOTHING: Outcome = { exitCode: 0, stdout: '', stderr: '' };

/** The error object of the specification ("Error"), as libcni prints it plus its `cniVersion`. */
export function failure(thrown: unknown, stdin?: Buffer, summary: CallSummary = {}): Outcome {
  const { cniCode, message, details } = toCniError(thrown);
  const cniVersion = (stdin && guessVersion(stdin)) ?? CURRENT_VERSION;
  const stdout = indentedJson({ cniVersion, code: cniCode, msg: message, details });
  const told = { ...summary, errorCode: cniCode, error: message };
  return { exitCode: 1, stdout, stderr: '', summary: told };
}
