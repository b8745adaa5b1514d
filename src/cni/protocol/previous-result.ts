/** `prevResult` of a request: what the plugins before this one made. */
import { toError } from '../../util/errors.ts';
import { CNI_ERROR_CODE, CniError } from './errors.ts';
import { memberOf } from './json.ts';
import { parseResult } from './parse-result.ts';
import type { Request } from './request.ts';
import type { Result } from './result.ts';

/**
 * In the terms of 1.1.0; undefined when there is none. Throws CNI code 6 when it is malformed or not
 * of the version family of the configuration. Follows libcni's version.ParsePrevResult.
 */
export function parsePreviousResult(request: Request): Result | undefined {
  const value = memberOf(request.config, 'prevResult');
  if (value === undefined) return undefined;
  try {
    return parseResult(value, request.cniVersion);
  } catch (cause) {
    throw new CniError(
      CNI_ERROR_CODE.decodingFailure,
      `could not parse prevResult: ${toError(cause).message}`,
      undefined,
      { cause },
    );
  }
}

/** The same for who cannot do without: CHECK, and plugins that only work in a chain. */
export function requirePreviousResult(request: Request): Result {
  const previous = parsePreviousResult(request);
  if (previous !== undefined) return previous;
  const message =
    request.verb === 'CHECK' ? 'Required prevResult missing' : 'must be called as chained plugin';
  throw new CniError(CNI_ERROR_CODE.invalidNetworkConfig, message);
}
