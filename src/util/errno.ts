/** Failures that are an answer: an errno name says that something is not there, or is there already. */
import { errorCode, toError } from './errors.ts';

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

/** What an errno of a file says to people, and where there is one cure, that. */
const FILE_WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'a part of the path is no directory',
  EISDIR: 'it is a directory',
  ENOTEMPTY: 'the directory is not empty',
  EEXIST: 'it is there already',
  EACCES: 'permission denied: run this as root',
  EPERM: 'not permitted: run this as root',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full: df tells what fills it',
  EDQUOT: 'the quota of the disk is used up',
  ELOOP: 'the symbolic links go round in a circle',
  EMFILE: 'too many open files: raise LimitNOFILE',
  ENFILE: 'too many open files on this machine: raise fs.file-max',
  ENAMETOOLONG: 'the path is too long',
};

/** `ENOENT (no such file or directory)`; the message where there is no errno. */
export function fileFailure(thrown: unknown): string {
  const code = errorCode(thrown);
  if (code === undefined) return toError(thrown).message;
  const words = FILE_WORDS[code];
  return words === undefined ? code : `${code} (${words})`;
}
