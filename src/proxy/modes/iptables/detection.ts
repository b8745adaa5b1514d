import type { CommandPrefix, IptablesVariant } from '../../../iptables/command.ts';
import {
  findIptables,
  type IptablesPrograms,
  NOT_INSTALLED,
  openIptablesPrograms,
} from '../../../iptables/programs.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { IoError } from '../../../util/errors.ts';
import { chooseVariant } from './variant.ts';

/**
 * Opens the programs for these families, all of the variant that is configured or else the one that
 * the node uses. Throws IoError when there is none, or none whose tables can be read.
 */
export async function detectPrograms(
  families: readonly IPFamily[],
  options: {
    readonly variant?: IptablesVariant | undefined;
    readonly prefix?: CommandPrefix | undefined;
  } = {},
): Promise<ReadonlyMap<IPFamily, IptablesPrograms>> {
  const { prefix = [] } = options;
  const installed = await findIptables(prefix);
  const open = (variant: IptablesVariant, family: IPFamily) =>
    openIptablesPrograms(installed, variant, family, prefix);
  const listings = new Map<IptablesVariant, string>();
  const failures: unknown[] = [];
  for (const variant of options.variant === undefined ? installed.keys() : []) {
    try {
      const texts = await Promise.all(families.map((family) => open(variant, family).save()));
      listings.set(variant, texts.join('\n'));
    } catch (thrown) {
      // The kernel may have the other one alone.
      failures.push(thrown);
    }
  }
  const variant = options.variant ?? chooseVariant(listings);
  if (variant === undefined) {
    throw failures[0] ?? new IoError(`iptables ${NOT_INSTALLED}`);
  }
  return new Map(families.map((family) => [family, open(variant, family)]));
}

/** Those of one family, in a variant that is known. Throws IoError as `detectPrograms` does. */
export async function installedPrograms(
  family: IPFamily,
  variant: IptablesVariant | undefined,
): Promise<IptablesPrograms> {
  const programs = (await detectPrograms([family], { variant })).get(family);
  if (programs === undefined) throw new Error(`no programs for IPv${family}`);
  return programs;
}
