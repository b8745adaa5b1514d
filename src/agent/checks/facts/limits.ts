import { readdirSync, readFileSync, watch } from 'node:fs';
import { sysctls } from '../../../kernel/sysctls.ts';
import { errorCode, IoError } from '../../../util/errors.ts';
import { openFilesLimit } from '../../descriptors.ts';
import { factOf } from '../check.ts';
import type { CheckedNode } from '../checked-node.ts';
import type { LimitFacts } from '../limits.ts';

export function readLimitFacts({ agent }: CheckedNode): LimitFacts {
  return {
    watch: factOf(tryToWatch),
    inotifyInstances: factOf(() => readNumber('fs/inotify/max_user_instances')),
    inotifyWatches: factOf(() => readNumber('fs/inotify/max_user_watches')),
    openFiles: factOf(() =>
      agent === undefined
        ? undefined
        : { used: readdirSync('/proc/self/fd').length, most: openFilesLimit() },
    ),
    nodeFiles: factOf(readNodeFiles),
  };
}

/** A process that has an instance already can only find out that there are no more watches. */
function tryToWatch(): string | undefined {
  try {
    watch('/proc/self/comm', { persistent: false }).close();
    return undefined;
  } catch (thrown) {
    return errorCode(thrown) ?? String(thrown);
  }
}

function readNumber(path: string): number {
  const text = sysctls.read(undefined, path);
  if (text === undefined) throw new IoError(`there is no sysctl ${path}`);
  return Number(text);
}

function readNodeFiles() {
  const [used = 0, , most = 0] = readFileSync('/proc/sys/fs/file-nr', 'utf8')
    .split(/\s+/)
    .map(Number);
  return { used, most };
}
