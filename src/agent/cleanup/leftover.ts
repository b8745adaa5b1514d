/** What cleanup works on. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export const CLEANED_COMPONENTS = ['cni', 'proxy', 'fabric', 'policy'] as const;
export type CleanedComponent = (typeof CLEANED_COMPONENTS)[number];

export interface CleanupOptions {
  readonly runDir: string;
  readonly stateDir: string;
  /** The runtime's network configurations. */
  readonly confDirectory: string;
  readonly components: readonly CleanedComponent[];
  /** Those of an agent that runs; absent where none answers. */
  readonly served?: readonly string[] | undefined;
  /** Also what is empty once all else is gone: the bridge, directories. */
  readonly isWhole: boolean;
  /** Only tells what would be done. */
  readonly isDryRun: boolean;
  /** Also what living pods need, and Services that nobody else serves. */
  readonly isForced: boolean;
}

/** In words, one thing each. */
export interface CleanupReport {
  /** Of a dry run: why the same without it would touch nothing. */
  readonly refusal?: string | undefined;
  readonly removed: readonly string[];
  /** With whom it is for. */
  readonly kept: readonly string[];
  /** What other programs rely on by now. */
  readonly left?: readonly string[];
}

/** Something that weft left on the node. */
export interface Leftover {
  readonly text: string;
  /** Somebody needs it. */
  readonly isNeeded: boolean;
  /** Another program relies on it: it stays, forced or not, and is no reason to come again. */
  readonly usedBy?: string;
  /** False when it was not there any more. */
  readonly remove: () => boolean | Promise<boolean>;
}

/** Files of a directory as leftovers that nobody needs. */
export function filesIn(
  directory: string,
  isWanted: (entry: string) => boolean,
): readonly Leftover[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter(isWanted)
    .map((entry) => {
      const path = join(directory, entry);
      const remove = () => {
        rmSync(path, { recursive: true, force: true });
        return true;
      };
      return { text: path, isNeeded: false, remove };
    });
}
