/** Disks that records are written to. Pure. */
import { type Check, type Fact, known } from './check.ts';

export interface DiskFacts {
  readonly directories: readonly CheckedDirectory[];
  /** What is wrong with last known objects. */
  readonly stateProblems: readonly string[];
}

export interface CheckedDirectory {
  readonly path: string;
  /** What cannot be written there when it is full. */
  readonly holds: string;
  /** New pods cannot start without. */
  readonly isNeededByPods: boolean;
  /** Of the directory, or the nearest one above that is there. */
  readonly room: Fact<DiskRoom>;
}

export interface DiskRoom {
  readonly freeBytes: number;
  readonly freeFiles: number;
  readonly isWritable: boolean;
}

const MIB = 1024 * 1024;
/** What a day of records takes at most is far below. */
const LITTLE_BYTES = 16 * MIB;
const LEAST_BYTES = MIB;
const LEAST_FILES = 16;

const disk: Check<DiskFacts> = {
  id: 'disk',
  concernsTraffic: true,
  why: 'without room for addresses and records no pod starts, and without one for the last known objects a restart waits for the API server',
  judge: ({ directories, stateProblems }) => {
    const [worst] = directories
      .flatMap((directory) => problemOf(directory, known(directory.room)) ?? [])
      .toSorted((left, right) => Number(right.isFailing) - Number(left.isFailing));
    const [stateProblem] = stateProblems;
    if (worst !== undefined) {
      const level = worst.isFailing ? 'failing' : 'warning';
      return { level, seen: worst.seen, cure: worst.cure };
    }
    if (stateProblem !== undefined) {
      return {
        level: 'warning',
        seen: stateProblem,
        cure: 'see that stateDir can be written, and has room',
      };
    }
    return { level: 'ok', seen: 'there is room where records are written' };
  },
};

export const DISK_CHECKS: readonly Check<DiskFacts>[] = [disk];

function problemOf({ path, holds, isNeededByPods }: CheckedDirectory, room: DiskRoom) {
  const { freeBytes, freeFiles, isWritable } = room;
  const lost = `${holds} cannot be written`;
  if (!isWritable) {
    return {
      isFailing: isNeededByPods,
      seen: `${path} may not be written: ${lost}`,
      cure: `mount ${path} writable for the agent`,
    };
  }
  const free = `df ${path}; delete what fills it, or move it to a larger disk`;
  if (freeBytes < LEAST_BYTES) {
    return { isFailing: isNeededByPods, seen: `the disk of ${path} is full: ${lost}`, cure: free };
  }
  if (freeFiles < LEAST_FILES) {
    return {
      isFailing: isNeededByPods,
      seen: `the disk of ${path} has no inode left: ${lost}`,
      cure: `df -i ${path}; delete files`,
    };
  }
  if (freeBytes >= LITTLE_BYTES) return undefined;
  const left = Math.floor(freeBytes / MIB);
  return { isFailing: false, seen: `the disk of ${path} has ${left} MiB left`, cure: free };
}
