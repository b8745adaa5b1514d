/** Who has an address and who had it: records of now, files of the address stores, and the log of the past. */
import { join } from 'node:path';
import type { AttachmentRecord } from '../../../cni/attachment-records.ts';
import { parseReservation } from '../../../ipam/reservations.ts';
import { type IP, ipFamily, ipToBigInt, tryParseIP } from '../../../net/ip.ts';
import { namesIn, readIfReadable } from '../../../util/files.ts';
import type { PastHolding } from '../../addresses/log-lines.ts';
import { podKeyOf } from '../../policy/local-pods.ts';
import { isWanted } from './names.ts';
import type { ListedAddress } from './values.ts';

export interface AddressFacts {
  readonly records: readonly AttachmentRecord[];
  readonly stores: readonly AddressStore[];
  readonly past: readonly PastHolding[];
}

/** A directory of host-local. */
export interface AddressStore {
  readonly network: string;
  readonly directory: string;
}

export interface WantedAddresses {
  readonly namespace?: string;
  /** An address, a pod, or a container. */
  readonly name?: string;
  /** Leave out who had them before. */
  readonly isHeldOnly: boolean;
}

/** Everything that matches, by the key of its place: addresses in their order, of each the latest holder first. */
export function listAddresses(
  facts: AddressFacts,
  wanted: WantedAddresses,
): ReadonlyMap<string, ListedAddress> {
  const held = facts.records.flatMap(heldByRecord);
  const known = new Set(held.map(({ ip }) => ip));
  const others = facts.stores.flatMap((store) => heldByFile(store, known));
  const past = wanted.isHeldOnly ? [] : facts.past.flatMap(pastOnes);
  const all = [...held, ...others, ...past].filter((each) => isAsked(each, wanted));
  return new Map(all.map((each) => [placeOf(each), each]));
}

function heldByRecord(record: AttachmentRecord): readonly ListedAddress[] {
  const { attachment, addresses, pod, createdAtMs } = record;
  const key = podKeyOf(pod);
  return addresses.map((ip) => ({
    ip,
    network: attachment.network,
    ...(key === undefined ? {} : { pod: key }),
    container: attachment.containerId,
    interface: attachment.ifName,
    since: timeText(createdAtMs),
  }));
}

/** Of other plugins, or of pods without a record. */
function heldByFile(
  { network, directory }: AddressStore,
  known: ReadonlySet<IP>,
): readonly ListedAddress[] {
  return namesIn(directory).flatMap((name) => {
    const ip = tryParseIP(name);
    if (ip === undefined || known.has(ip)) return [];
    const reservation = parseReservation(ip, readIfReadable(join(directory, name)) ?? '');
    if (reservation === undefined) return [];
    const { containerId: container, ifName } = reservation;
    return [{ ip, network, container, ...(ifName === undefined ? {} : { interface: ifName }) }];
  });
}

function pastOnes(holding: PastHolding): readonly ListedAddress[] {
  const { network, container, interface: name, pod, addresses, sinceMs, untilMs, isLate } = holding;
  return addresses.map((ip) => ({
    ...{ ip, network, ...(pod === undefined ? {} : { pod }), container, interface: name },
    ...{ since: timeText(sinceMs), until: timeText(untilMs) },
    ...(isLate === undefined ? {} : { isUntilLate: isLate }),
  }));
}

function isAsked(address: ListedAddress, { namespace, name }: WantedAddresses): boolean {
  const { ip, pod = '', container } = address;
  if (namespace !== undefined && !pod.startsWith(`${namespace}/`)) return false;
  if (name === undefined || ip === tryParseIP(name)) return true;
  return isWanted(pod, { name }) || (name.length >= 8 && container.startsWith(name));
}

/** Sorts as text: family and number of the address, then the latest first, then the holder. */
function placeOf({
  ip,
  until,
  since = '',
  container,
  interface: name = '',
}: ListedAddress): string {
  const number = ipToBigInt(ip).toString(16).padStart(32, '0');
  const end = until === undefined ? 0 : Number.MAX_SAFE_INTEGER - Date.parse(until);
  return `${ipFamily(ip)}${number} ${String(end).padStart(16, '0')} ${since} ${container} ${name}`;
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}
