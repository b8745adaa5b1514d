import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import type { Declaration } from './declaration.ts';
import type { CommandEffects } from './effects.ts';

/** A command of `weft`: what it is for, its flags, and what it does. */
export interface Command {
  /** One word, or two: `policy list`. */
  readonly name: string;
  readonly describe: string;
  /** A word that it takes besides flags; it is given as a flag of this name. */
  readonly argument?: string;
  /** The only words that it can be; default: any, or names. */
  readonly argumentWords?: readonly string[];
  /** Its exit code 1 is an answer; a failure is 2 then. */
  readonly answersWithOne?: boolean;
  /** What only few commands have to load comes later. */
  readonly declare: (declaration: Declaration) => Declaration | Promise<Declaration>;
  /** Gives the exit code. Throws what is printed as an error: UsageError and ConfigError are 2, others 1. */
  readonly run: (flags: FlagValues, effects: CommandEffects) => Promise<number>;
}
