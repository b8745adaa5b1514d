import type { IptablesVariant } from '../../../iptables/command.ts';
import type { IptablesPrograms } from '../../../iptables/programs.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { IoError, toError } from '../../../util/errors.ts';
import { detectPrograms } from './detection.ts';
import { probeRules } from './probe.ts';

export interface TriedPrograms {
  readonly programs: ReadonlyMap<IPFamily, IptablesPrograms>;
  readonly variant: IptablesVariant;
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
 * Opens the programs of the configured variant, or with `auto` those of the node's, or of the other where
 * the kernel has that one alone. Throws IoError that names what is missing.
 */
export async function openTriedPrograms(
  families: readonly IPFamily[],
  configured: IptablesVariant | 'auto',
): Promise<TriedPrograms> {
  if (configured !== 'auto') return openTried(families, configured);
  try {
    return await openTried(families, undefined);
  } catch (thrown) {
    if (!(thrown instanceof RefusedVariantError)) throw thrown;
    const other = thrown.variant === 'nft' ? 'legacy' : 'nft';
    return openTried(families, other).catch((also: unknown) => {
      const reasons = `${thrown.variant}: ${thrown.message}; ${other}: ${toError(also).message}`;
      throw new IoError(reasons, { cause: also });
    });
  }
}

async function openTried(
  families: readonly IPFamily[],
  wanted: IptablesVariant | undefined,
): Promise<TriedPrograms> {
  const programs = await detectPrograms(families, { variant: wanted });
  const [first] = programs.values();
  if (first === undefined) throw new Error('no address family to program');
  const { variant } = first;
  try {
    return { programs, variant, isTried: await probeRules(programs) };
  } catch (cause) {
    throw new RefusedVariantError(variant, toError(cause).message, { cause });
  }
}
