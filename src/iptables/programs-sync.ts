/** The same programs for one CNI call, whose thread waits for them. */
import { spawnSync } from 'node:child_process';
import type { IPFamily } from '../net/ip.ts';
import { IoError } from '../util/errors.ts';
import { readIfThere } from '../util/files.ts';
import {
  type Command,
  type CommandPrefix,
  type IptablesVariant,
  MissingProgramError,
  programName,
  restoreCommand,
  runCommandSync,
  saveCommand,
} from './command.ts';
import type { TableName } from './model.ts';

/** Whose rules: of the node's default variant when none is given. */
export interface IptablesPlace {
  readonly family: IPFamily;
  readonly variant?: IptablesVariant | undefined;
}

/** The programs of one node. Each call holds up the thread for milliseconds and is bounded. */
export interface Iptables {
  /** Whether the older interface has such a table. Executes nothing. */
  hasLegacyTable(family: IPFamily, table: TableName): boolean;
  /** A table as iptables-save prints it; undefined when there is no such program. Throws IoError. */
  save(place: IptablesPlace, table: TableName): string | undefined;
  /** What iptables-restore reads, applied whole or not at all beside what is there. Throws IoError. */
  restore(place: IptablesPlace, text: string): void;
}

/** The programs in PATH, for the namespace of this process. */
export function openIptables(prefix: CommandPrefix = []): Iptables {
  return {
    hasLegacyTable: (family, table) => {
      return readTableNames(family, prefix).split('\n').includes(table);
    },
    save: (place, table) => {
      return runVariant(place, (program) => saveCommand(prefix, program, table));
    },
    restore: (place, text) => {
      const output = runVariant(place, (program) => restoreCommand(prefix, program, text));
      if (output !== undefined) return;
      throw new IoError(
        `${programName(place.family, 'tables')}-restore is not installed on this node`,
      );
    },
  };
}

/**
 * A variant under its own name; systems with one alone may only have the plain name. Undefined when
 * there is neither.
 */
function runVariant(
  { family, variant }: IptablesPlace,
  commandOf: (program: string) => Command,
): string | undefined {
  const stems = variant === undefined ? ['tables'] : [`tables-${variant}`, 'tables'];
  for (const stem of stems) {
    try {
      return runCommandSync(commandOf(programName(family, stem)));
    } catch (thrown) {
      if (!(thrown instanceof MissingProgramError)) throw thrown;
    }
  }
  return undefined;
}

/** Empty when the kernel has no such interface. */
function readTableNames(family: IPFamily, [command, ...args]: CommandPrefix): string {
  const path = `/proc/thread-self/net/${programName(family, '_tables_names')}`;
  if (command !== undefined) {
    return spawnSync(command, [...args, 'cat', path], { encoding: 'utf8' }).stdout;
  }
  return readIfThere(path) ?? '';
}
