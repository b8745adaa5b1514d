/** The programs of iptables for large rule sets: nothing waits on the thread while they run. */
import type { ChildProcess } from 'node:child_process';
import type { IPFamily } from '../net/ip.ts';
import { IoError } from '../util/errors.ts';
import {
  type CommandPrefix,
  type IptablesVariant,
  listCommand,
  MissingProgramError,
  programName,
  restoreCommand,
  runCommand,
  saveCommand,
} from './command.ts';
import type { TableName } from './model.ts';

/** The programs of one variant and address family. */
export interface IptablesPrograms {
  readonly variant: IptablesVariant;
  /** One table, or all of them, as iptables-save prints them. Throws IoError. */
  save(table?: TableName): Promise<string>;
  /**
   * Adds to what is there; each table of the text is applied whole or not at all. Throws IoError
   * that quotes the line at fault.
   */
  restore(input: string): Promise<void>;
  /**
   * One chain as `-S` prints it, each rule with its counters (`-c <packets> <bytes>`). Throws IoError,
   * also when there is no such chain.
   */
  listCounted(table: TableName, chain: string): Promise<string>;
  /** Whether a transaction in NFNLGRP_NFTABLES with this netlink port was one of these programs'. */
  isOwnPort(portId: number): boolean;
}

/** What is there of the programs, by variant: their name without family and action. */
export type InstalledPrograms = ReadonlyMap<IptablesVariant, string>;

/** The end of an error message. */
export const NOT_INSTALLED = 'is not installed on this node: install the package iptables';

/** Runs whose netlink ports, which are their process ids, may still turn up in notifications. */
const REMEMBERED_RUNS = 64;

/** Finds the programs; those named after no variant are asked which they are. */
export async function findIptables(prefix: CommandPrefix = []): Promise<InstalledPrograms> {
  const found = new Map<IptablesVariant, string>();
  for (const variant of ['nft', 'legacy'] as const) {
    const isThere = await versionOf(prefix, `tables-${variant}`);
    if (isThere !== undefined) found.set(variant, `tables-${variant}`);
  }
  if (found.size > 0) return found;
  const version = await versionOf(prefix, 'tables');
  if (version === undefined) return found;
  return found.set(version.includes('nf_tables') ? 'nft' : 'legacy', 'tables');
}

/** Opens the programs of a variant that findIptables found. */
export function openIptablesPrograms(
  installed: InstalledPrograms,
  variant: IptablesVariant,
  family: IPFamily,
  prefix: CommandPrefix = [],
): IptablesPrograms {
  const stem = installed.get(variant);
  if (stem === undefined) {
    throw new IoError(`iptables of variant ${variant} ${NOT_INSTALLED}`);
  }
  const program = programName(family, stem);
  const ownPorts: number[] = [];
  const note = (child: ChildProcess) => {
    ownPorts.push(child.pid ?? 0);
    if (ownPorts.length > REMEMBERED_RUNS) ownPorts.shift();
  };
  return {
    variant,
    save: (table) => runCommand(saveCommand(prefix, program, table), note),
    restore: async (input) => {
      await runCommand(restoreCommand(prefix, program, input), note);
    },
    listCounted: (table, chain) => runCommand(listCommand(prefix, program, { table, chain }), note),
    isOwnPort: (portId) => ownPorts.includes(portId),
  };
}

/** What the program says of itself; undefined when it is not installed. */
async function versionOf(prefix: CommandPrefix, stem: string): Promise<string | undefined> {
  const name = `${programName(4, stem)}-restore`;
  try {
    return await runCommand({ prefix, name, args: ['--version'] });
  } catch (thrown) {
    if (thrown instanceof MissingProgramError) return undefined;
    throw thrown;
  }
}
