/** `weft ips`: who has an address, and who had it before. */
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { addressesText } from '../../agent/debug/lists/text.ts';
import type { ListedAddress } from '../../agent/debug/lists/values.ts';
import type { AddressesRequest } from '../../agent/debug/questions/lists.ts';
import type { Command } from '../command.ts';
import { allParts, declareListFlags, printList, wantedOf } from '../list.ts';
import { askOrRead, type RecordEffects, recordNote } from '../on-record.ts';

const EPILOGUE = `Lists the addresses of this node's pods: who has one now, and who had it before and when, as far as the
log in the run directory goes back (about 1,000 pods, to the last boot of the node). Times are UTC; a ~
before one says that the end was found then, because no agent ran when it came. NAME is an address, a
pod, NAMESPACE/POD, or the first 8 characters or more of a container's id.

Examples:
  weft ips 10.244.0.7
  weft ips shop/web
  weft ips --held --output wide`;

export const ipsCommand: Command = {
  name: 'ips',
  describe: 'Tell who has an address of this node, and who had it before',
  argument: 'NAME',
  declare: (declaration) => {
    declaration.usage('weft ips [ADDRESS|POD] [flags]').epilogue(EPILOGUE);
    declaration.option('held', { type: 'boolean', describe: 'Leave out who had them before' });
    return declareListFlags(declaration, { hasNamespace: true, isLong: true });
  },
  run: runIps,
};

export async function runIps(flags: FlagValues, effects: RecordEffects): Promise<number> {
  const wanted = { ...wantedOf(flags), isHeldOnly: flags['held'] === true };
  const look = () =>
    allParts(flags, (part) => {
      const request: AddressesRequest = { command: 'ips', ...wanted, ...part };
      return askOrRead<ListedAddress>(flags, request, effects, async (records) =>
        (await import('../records.ts')).allAddresses(records, wanted),
      );
    });
  return printList(flags, effects, look, (listing, options) => {
    return addressesText(listing.items, options) + recordNote(listing);
  });
}
