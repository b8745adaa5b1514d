import { isWithoutNftables } from '../nftables/absence.ts';
import { toError } from '../util/errors.ts';
import { CNI_ERROR_CODE, CniError } from './protocol/errors.ts';

/** Does what a configuration asks nf_tables for; names what is missing where the kernel has none. */
export function requiringNftables(wish: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    if (!isWithoutNftables(cause)) throw cause;
    const message = `${wish}: this kernel has no nf_tables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET)`;
    throw new CniError(CNI_ERROR_CODE.pluginNotAvailable, message, toError(cause).message, {
      cause,
    });
  }
}
