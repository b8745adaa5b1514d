import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { allocate, release, reservedAddresses } from '../ipam/allocate.ts';
import { buildRangeSets } from '../ipam/range-config.ts';
import { readResolvConf } from '../ipam/resolv-conf.ts';
import { ReservationStore, type StoreOptions, storeDirectory } from '../ipam/store.ts';
import { toError } from '../util/errors.ts';
import type { Attachment } from './attachment.ts';
import type { Ipam } from './node.ts';
import { CNI_ERROR_CODE, CniError } from './protocol/errors.ts';
import type { Dns } from './protocol/result.ts';

/** host-local in this process, on the reference plugin's directories. */
export function openHostLocal(options: StoreOptions): Ipam {
  const stores = new Map<string, ReservationStore>();
  const storeOf = (
    { network }: Pick<Attachment, 'network'>,
    dataDir: string | undefined,
  ): ReservationStore => {
    const directory = storeDirectory(dataDir, network);
    const store = stores.get(directory) ?? new ReservationStore(directory, options);
    stores.set(directory, store);
    return store;
  };
  return {
    reserve: (owner, config, { requestedIPs: requested, cniVersion, isLeftover }) => {
      const rangeSets = buildRangeSets(cniVersion, config, config.ipRanges ?? []);
      const dns = readDns(config.resolvConf);
      const store = storeOf(owner, config.dataDir);
      const request = { ...owner, requested, ...(isLeftover === undefined ? {} : { isLeftover }) };
      return { ips: allocate(rangeSets, store, request), dns };
    },
    held: (owner, dataDir) => reservedAddresses(storeOf(owner, dataDir), owner),
    release: (owner, dataDir) => {
      release(storeOf(owner, dataDir), owner);
    },
    owners: (network, dataDir) => {
      const listed = storeOf({ network }, dataDir).transactExisting((session) =>
        Array.from(session.reservations(), ({ address, containerId, ifName }) => ({
          address,
          containerId,
          ...(ifName === undefined ? {} : { ifName }),
        })),
      );
      return listed ?? [];
    },
    status: (network, config, { cniVersion }) => {
      buildRangeSets(cniVersion, config, config.ipRanges ?? []);
      requireRoom(storeDirectory(config.dataDir, network));
    },
  };
}

function readDns(path: string | undefined): Dns {
  if (path === undefined || path === '') return {};
  const { domain, ...lists } = readResolvConf(path);
  return domain === undefined ? lists : { ...lists, domain };
}

/** A directory that does not exist yet is made by the first ADD in its nearest parent. */
function requireRoom(directory: string): void {
  if (!existsSync(directory)) {
    requireRoom(dirname(directory));
    return;
  }
  try {
    accessSync(directory, constants.W_OK);
  } catch (cause) {
    throw notAvailable(`cannot write reservations: ${toError(cause).message}`, cause);
  }
  const { bavail, ffree, files } = statfsSync(directory);
  if (bavail > 0 && (ffree > 0 || files === 0)) return;
  throw notAvailable(`cannot write reservations: no space left in ${directory}`);
}

function notAvailable(message: string, cause?: unknown): CniError {
  return new CniError(CNI_ERROR_CODE.pluginNotAvailable, message, undefined, { cause });
}
