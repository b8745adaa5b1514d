import { execFile } from 'node:child_process';
import { errorCode, IoError } from '../../util/errors.ts';

export interface Program {
  readonly name: string;
  readonly args: readonly string[];
}

/** More than a piece may have, so that it is cut there and not lost here. */
const MOST_BYTES = 32 << 20;
const TIMEOUT_MS = 20_000;
const MOST_ERROR_CHARACTERS = 500;
const SEARCH_PATH = '/usr/sbin:/sbin:/usr/bin:/bin';

/** What a program prints; undefined where it is not installed. Throws IoError with what it complains about. */
export function programText(
  { name, args }: Program,
  signal: AbortSignal,
): Promise<string | undefined> {
  const options = {
    ...({ signal, timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: MOST_BYTES } as const),
    // Nothing of our environment: what is in it is nobody's business.
    env: { PATH: SEARCH_PATH, LC_ALL: 'C' },
  };
  return new Promise((resolve, reject) => {
    execFile(name, args, options, (failure, stdout, stderr) => {
      const code = errorCode(failure);
      if (failure === null || code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') resolve(stdout);
      else if (code === 'ENOENT') resolve(undefined);
      else {
        const words = stderr.trim().slice(0, MOST_ERROR_CHARACTERS) || failure.message;
        reject(new IoError(`${name}: ${words}`, { cause: failure }));
      }
    });
  });
}
