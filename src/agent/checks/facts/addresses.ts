import type { AddressFacts } from '../addresses.ts';
import type { CheckedNode } from '../checked-node.ts';

export function readAddressFacts({ agent }: CheckedNode): AddressFacts {
  return { addresses: agent?.addresses?.() };
}
