import type { IptablesVariant } from '../../../iptables/command.ts';
import { IoError, toError } from '../../../util/errors.ts';
import { type IptablesMode, type IptablesModeOptions, openIptablesMode } from './mode.ts';
import { probeRules } from './probe.ts';

export interface TriedMode {
  readonly mode: IptablesMode;
  /** The kernel took the rules in a throw-away namespace; else nothing was to be tried there. */
  readonly isTried: boolean;
}

/** The programs of a variant are there, and the kernel does not take its rules. */
class RefusedVariantError extends IoError {
  readonly variant: IptablesVariant;

  constructor(variant: IptablesVariant, message: string, options: ErrorOptions) {
    super(message, options);
    this.variant = variant;
  }
}

/**
 * Opens the configured variant, or without one that of the node, or the other where the kernel has
 * that one alone. Throws IoError that names what is missing.
 */
export async function openTriedVariant(options: IptablesModeOptions): Promise<TriedMode> {
  try {
    return await openTried(options);
  } catch (thrown) {
    if (options.variant !== undefined || !(thrown instanceof RefusedVariantError)) throw thrown;
    const other = thrown.variant === 'nft' ? 'legacy' : 'nft';
    return openTried({ ...options, variant: other }).catch((also: unknown) => {
      const reasons = `${thrown.variant}: ${thrown.message}; ${other}: ${toError(also).message}`;
      throw new IoError(reasons, { cause: also });
    });
  }
}

async function openTried(options: IptablesModeOptions): Promise<TriedMode> {
  const mode = await openIptablesMode(options);
  const programs = Array.from(mode.rules, ([family, rules]) => [family, rules.programs] as const);
  try {
    return { mode, isTried: await probeRules(new Map(programs)) };
  } catch (cause) {
    throw new RefusedVariantError(mode.variant, toError(cause).message, { cause });
  }
}
