/** What is on record where no agent answers; loaded when that is so. */
import { type AddressFacts, listAddresses } from '../agent/debug/lists/addresses.ts';
import type { ListedAddress, Listing } from '../agent/debug/lists/values.ts';

export { readDiskStatus } from '../agent/debug/disk-status.ts';
export { readNodeRecords } from '../agent/debug/lists/on-record.ts';
export { listPods } from '../agent/debug/lists/pods.ts';

/** All addresses that are asked about, sorted. */
export function allAddresses(
  records: AddressFacts,
  wanted: Parameters<typeof listAddresses>[1],
): Listing<ListedAddress> {
  const items = [...listAddresses(records, wanted)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, address]) => address);
  return { items, total: items.length };
}
