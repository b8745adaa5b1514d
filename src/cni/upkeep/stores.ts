/** host-local's directories as a whole: every network's, whoever writes to them. */
import { readdirSync } from 'node:fs';
import { ReservationStore, type StoreOptions, storeDirectory } from '../../ipam/store.ts';
import { ifThere } from '../../util/files.ts';
import type { Attachment } from '../attachment.ts';
import { readNetworkConfigs } from '../network-configs.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';
import type { StoredReservation, SweepFacts } from './sweep-model.ts';

/**
 * Reservations of all networks below these directories. Throws BusyError when the lock of one is not
 * to be had: half a list would make the other half's elements look lost.
 */
export function listReservations(
  dataDirs: Iterable<string>,
  options: StoreOptions,
): readonly StoredReservation[] {
  return Array.from(new Set(dataDirs)).flatMap((dataDir) =>
    directoriesIn(dataDir).flatMap((network) =>
      new ReservationStore(storeDirectory(dataDir, network), options)
        .list()
        .map(({ address, containerId, ifName, modifiedAtMs }) => {
          const where = { dataDir, network, address };
          return { ...where, containerId, ifName, writtenAtMs: modifiedAtMs };
        }),
    ),
  );
}

/**
 * Frees one address if its file is still the one that was listed; false when somebody has changed
 * it since. Throws BusyError and IoError.
 */
export function releaseReservation(listed: StoredReservation, options: StoreOptions): boolean {
  const { dataDir, network, address, containerId, writtenAtMs } = listed;
  const store = new ReservationStore(storeDirectory(dataDir, network), options);
  const isReleased = store.transactExisting((session) => {
    if (session.takenAt(address) !== writtenAtMs) return false;
    const owner = { containerId, ifName: listed.ifName ?? '' };
    if (!session.reservationsOf(owner).some((own) => own.address === address)) return false;
    session.releaseAddresses([address]);
    return true;
  });
  return isReleased ?? false;
}

/**
 * `ipam.dataDir` of the network configurations in a directory, as far as they can be read: after a
 * reboot nothing else tells of a store that is not at the default place.
 */
export function configuredDataDirs(confDirectory: string): readonly string[] {
  const plugins = readNetworkConfigs(confDirectory).flatMap((config) => config.plugins);
  return plugins.flatMap((plugin) => {
    const ipam = memberOf(plugin, 'ipam');
    const dataDir = isJsonObject(ipam) ? memberOf(ipam, 'dataDir') : undefined;
    return typeof dataDir === 'string' && dataDir !== '' ? [dataDir] : [];
  });
}

function directoriesIn(path: string): readonly string[] {
  const entries = ifThere(() => readdirSync(path, { withFileTypes: true })) ?? [];
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** Where a killed ADD without a record holds addresses. */
export function storesOf(attachment: Attachment, { reservations }: SweepFacts): readonly string[] {
  const own = reservations.filter(({ network, containerId, ifName }) => {
    if (network !== attachment.network || containerId !== attachment.containerId) return false;
    return ifName === undefined || ifName === attachment.ifName;
  });
  return [...new Set(own.map(({ dataDir }) => dataDir))];
}
