import IPCIDR from 'ip-cidr';
import { type Cidr, tryParseCidr } from './cidr.ts';
import { AddressError } from './ip.ts';

/**
 * Reads a comma-separated list an administrator wrote (`--cluster-cidr`); empty text is an empty
 * list. Only here is ip-cidr consulted: its containment ignores the family and its text is not
 * canonical, so the values leave as our own type at once. Throws AddressError naming the entry.
 */
export function parseConfiguredCidrs(text: string): Cidr[] {
  if (text.trim() === '') return [];
  return text.split(',').map((part) => {
    const entry = part.trim();
    const cidr = IPCIDR.isValidCIDR(entry) ? tryParseCidr(entry) : undefined;
    if (cidr === undefined) {
      throw new AddressError(
        `parse CIDR list ${JSON.stringify(text)}: ${JSON.stringify(entry)} is no CIDR`,
      );
    }
    return cidr;
  });
}
