import { errorCode } from '../util/errors.ts';

/** What the kernel says of links, addresses, routes and neighbours that are not there. */
export const GONE = ['ENODEV', 'ENOENT', 'ESRCH', 'EADDRNOTAVAIL'] as const;

/** The result of `action`, or undefined when it fails with one of these errno names. */
export function unlessErrno<T>(codes: readonly string[], action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    const code = errorCode(error);
    if (code !== undefined && codes.includes(code)) return undefined;
    throw error;
  }
}

/** Whether `action` did not fail with one of these errno names; other errors are thrown. */
export function succeedsUnless(codes: readonly string[], action: () => void): boolean {
  return (
    unlessErrno(codes, () => {
      action();
      return true;
    }) === true
  );
}
