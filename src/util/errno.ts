/** Failures that are an answer: an errno name says that something is not there, or is there already. */
import { errorCode } from './errors.ts';

/** The errno name when it is one of `expected`, undefined for success; anything else is thrown. */
export function codeOfFailure(expected: readonly string[], action: () => void): string | undefined {
  try {
    action();
    return undefined;
  } catch (thrown) {
    const code = errorCode(thrown);
    if (code === undefined || !expected.includes(code)) throw thrown;
    return code;
  }
}

/** The result of `action`, or undefined when it fails with one of these errno names. */
export function unlessErrno<T>(codes: readonly string[], action: () => T): T | undefined {
  let result: T | undefined;
  codeOfFailure(codes, () => {
    result = action();
  });
  return result;
}

/** Whether `action` did not fail with one of these errno names; other errors are thrown. */
export function succeedsUnless(codes: readonly string[], action: () => void): boolean {
  return codeOfFailure(codes, action) === undefined;
}
