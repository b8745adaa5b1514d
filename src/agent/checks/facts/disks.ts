import { accessSync, constants, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorCode } from '../../../util/errors.ts';
import { isMissing } from '../../../util/files.ts';
import { factOf } from '../check.ts';
import type { CheckedNode } from '../checked-node.ts';
import type { DiskFacts, DiskRoom } from '../disks.ts';

export function readDiskFacts({
  directories: { run, ipam, state },
  agent,
}: CheckedNode): DiskFacts {
  // Without an agent nobody knows what is needed, and the node may lack a directory for that reason.
  const hasSource = agent?.source !== undefined;
  const hasCni = agent?.components.has('cni') ?? false;
  const directories = [
    { path: run, holds: 'records of pods', isNeededByPods: true },
    ...(hasCni ? [{ path: ipam, holds: 'addresses of pods', isNeededByPods: true }] : []),
    ...(hasSource ? [{ path: state, holds: 'last known objects', isNeededByPods: false }] : []),
  ];
  return {
    directories: directories.map((each) => ({ ...each, room: factOf(() => roomAt(each.path)) })),
    stateProblems: agent?.source?.stateProblems ?? [],
  };
}

function roomAt(path: string): DiskRoom {
  for (let at = path; ; at = dirname(at)) {
    try {
      const { bavail, bsize, files, ffree } = statfsSync(at);
      // Some file systems have no such thing as inodes.
      const freeFiles = files === 0 ? Number.POSITIVE_INFINITY : ffree;
      return { freeBytes: bavail * bsize, freeFiles, isWritable: mayWrite(at) };
    } catch (thrown) {
      if (!isMissing(thrown) || at === dirname(at)) throw thrown;
    }
  }
}

/** Of root only a file system that is mounted read-only is kept from writing. */
function mayWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch (thrown) {
    if (['EROFS', 'EACCES'].includes(errorCode(thrown) ?? '')) return false;
    throw thrown;
  }
}
