import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { namesIn, readIfReadable, readIfThere, replaceFile } from '../../util/files.ts';
import { earlierConfigurations, type Ownership, ownershipOf } from './conflist.ts';

export interface ConflistPlace {
  /** The runtime's network configurations. */
  readonly directory: string;
  /** `10-weft.conflist` */
  readonly name: string;
}

export interface PlacedConflist {
  /** Another content than before is in place now. */
  readonly isWritten: boolean;
  /** Files of ours by other names, which are removed. */
  readonly removed: readonly string[];
  /** What keeps pods from being given this network, each with its cure. */
  readonly problems: readonly string[];
}

/** As the directory of a runtime's package has it. */
const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o644;

/**
 * Puts a conflist of ours in its place, whole or not at all, and takes those away that we had put
 * elsewhere before. What somebody else has written, or changed, stays. Throws what the file system
 * throws.
 */
export function placeConflist({ directory, name }: ConflistPlace, text: string): PlacedConflist {
  const path = join(directory, name);
  const found = readIfThere(path);
  const owner = found === undefined ? 'ours' : ownershipOf(found);
  if (owner !== 'ours') {
    const whose = owner === 'changed' ? 'was changed by somebody' : 'is not of weft';
    const cure = `remove it (pods keep running), or set fabric.conflistName or fabric.manageConflist: false`;
    const problem = `network configuration ${path} ${whose} and is left as it is: ${cure}`;
    return { isWritten: false, removed: [], problems: [problem, ...earlierThan(directory, name)] };
  }
  const isWritten = found !== text;
  if (isWritten) {
    mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
    replaceFile(path, text, { mode: FILE_MODE, isDurable: true });
  }
  const removed = removeFormer(directory, name);
  return { isWritten, removed, problems: earlierThan(directory, name) };
}

/** Conflists in a directory that an agent wrote, with whether somebody has changed them since. */
export function markedConflists(
  directory: string,
): readonly { readonly path: string; readonly owner: Ownership }[] {
  return namesIn(directory)
    .filter((name) => name.endsWith('.conflist'))
    .map((name) => join(directory, name))
    .map((path) => ({ path, owner: ownershipOf(readIfReadable(path) ?? '') }))
    .filter(({ owner }) => owner !== 'foreign');
}

function removeFormer(directory: string, name: string): readonly string[] {
  const former = markedConflists(directory)
    .filter(({ path, owner }) => owner === 'ours' && path !== join(directory, name))
    .map(({ path }) => path);
  for (const path of former) rmSync(path, { force: true });
  return former;
}

function earlierThan(directory: string, name: string): readonly string[] {
  return earlierConfigurations(namesIn(directory), name).map((other) => {
    const cure = `remove it, or set fabric.conflistName to a name that sorts before it`;
    return `pods get the network of ${join(directory, other)}, which the runtime takes before ${name}: ${cure}`;
  });
}
