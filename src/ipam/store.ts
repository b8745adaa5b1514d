import { statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { IP } from '../net/ip.ts';
import {
  ConfigError,
  failuresOf,
  IoError,
  joinErrors,
  toError,
  WeftError,
} from '../util/errors.ts';
import { createFile, ifThere, overwriteFile, readIfThere, syncDirectory } from '../util/files.ts';
import type { FlockOptions } from '../util/wait.ts';
import { DirectoryIndex, UNFINISHED_PREFIX } from './directory-index.ts';
import { withDirectoryLock } from './lock.ts';
import type { Quarantine } from './quarantine.ts';
import {
  formatOwner,
  matching,
  type Owner,
  parseReservation,
  type Reservation,
  releasable,
} from './reservations.ts';

export interface StoreOptions extends FlockOptions {
  /** Remembers the directory's content between calls; for a process that lives long. */
  readonly keepsIndex: boolean;
  /** fsync of files and directory. A killed process loses nothing without it, a power cut may. */
  readonly isDurable: boolean;
  /** Absent: an address can be given again at once. */
  readonly quarantine?: Quarantine;
}

/** A reservation with the time its file was written, for garbage collection. */
export interface AgedReservation extends Reservation {
  /** Milliseconds since the epoch. */
  readonly modifiedAtMs: number;
}

/** host-local's default for `ipam.dataDir`. */
const DEFAULT_DATA_DIRECTORY = '/var/lib/cni/networks';

/** `<dataDir>/<network name>`; throws ConfigError for a name that would leave dataDir. */
export function storeDirectory(dataDirectory: string | undefined, network: string): string {
  if (network === '' || network === '.' || network === '..' || network.includes('/')) {
    throw new ConfigError('name', `network name ${JSON.stringify(network)} is no directory name`);
  }
  return join(dataDirectory || DEFAULT_DATA_DIRECTORY, network);
}

/**
 * The reservations of one network in host-local's own format, so that the reference plugin can work
 * on the same directory before, after and meanwhile: `lock`, one file per address named by its text,
 * and `last_reserved_ip.<range set>`.
 */
export class ReservationStore {
  readonly directory: string;
  readonly #options: StoreOptions;
  readonly #index: DirectoryIndex;

  constructor(directory: string, options: StoreOptions) {
    this.directory = directory;
    this.#options = options;
    this.#index = new DirectoryIndex(directory, options.keepsIndex);
  }

  /** Runs `job` under the directory's lock and creates the directory if need be. */
  transact<T>(job: (session: StoreSession) => T): T {
    const run = this.#run(true, job);
    if (run === undefined) throw new IoError(`open ${this.directory}: not created`);
    return run.value;
  }

  /** As transact, but gives undefined, and creates nothing, when there is no directory. */
  transactExisting<T>(job: (session: StoreSession) => T): T | undefined {
    return this.#run(false, job)?.value;
  }

  /** Every reservation of the network, whoever wrote it; none when there is no directory. */
  list(): AgedReservation[] {
    const aged = this.transactExisting((session) =>
      Array.from(session.reservations(), (reservation) => {
        const { mtimeMs } = statSync(join(this.directory, reservation.address));
        return { ...reservation, modifiedAtMs: mtimeMs };
      }),
    );
    return aged ?? [];
  }

  #run<T>(isCreating: boolean, job: (session: StoreSession) => T): { value: T } | undefined {
    try {
      return withDirectoryLock(this.directory, { ...this.#options, isCreating }, () =>
        this.#runLocked(job),
      );
    } catch (thrown) {
      if (thrown instanceof WeftError) throw thrown;
      const error = toError(thrown);
      throw new IoError(`use reservations in ${this.directory}: ${error.message}`, {
        cause: error,
      });
    }
  }

  #runLocked<T>(job: (session: StoreSession) => T): { value: T } {
    const known = this.#index.load();
    const session = new StoreSession(this.directory, known, this.#options);
    try {
      return { value: job(session) };
    } finally {
      session.finish();
      this.#index.keep(known, session.hasChanged);
    }
  }
}

type SessionOptions = Pick<StoreOptions, 'isDurable' | 'quarantine'>;

/** The store while its lock is held. Not to be used afterwards. */
export class StoreSession {
  readonly #directory: string;
  readonly #known: Map<IP, Reservation | undefined>;
  readonly #options: SessionOptions;
  #hasChanged = false;

  /** `known` maps every taken address to what its file says, and is kept up to date. */
  constructor(directory: string, known: Map<IP, Reservation | undefined>, options: SessionOptions) {
    this.#directory = directory;
    this.#known = known;
    this.#options = options;
  }

  get hasChanged(): boolean {
    return this.#hasChanged;
  }

  *reservations(): Generator<Reservation> {
    for (const reservation of this.#known.values())
      if (reservation !== undefined) yield reservation;
  }

  /** What the owner has, counting one-line files that name only its container. */
  reservationsOf(owner: Owner): Reservation[] {
    return matching(this.reservations(), owner);
  }

  isTaken(address: IP): boolean {
    return this.#known.has(address);
  }

  /** Addresses that should rest a while, with the time they were given back, ms since the epoch. */
  resting(): ReadonlyMap<IP, number> {
    return this.#options.quarantine?.resting(this.#directory) ?? new Map();
  }

  /** When the address was taken, ms since the epoch; undefined when it is free. */
  takenAt(address: IP): number | undefined {
    return statSync(join(this.#directory, address), { throwIfNoEntry: false })?.mtimeMs;
  }

  /** Takes the address for the owner; false when it is taken. Records it as the set's last. */
  reserve(address: IP, owner: Owner, setIndex: number): boolean {
    if (this.#known.has(address)) return false;
    const text = formatOwner(owner);
    this.#hasChanged = true;
    const isCreated = createFile(join(this.#directory, address), text, {
      isDurable: this.#options.isDurable,
      unfinished: join(this.#directory, `${UNFINISHED_PREFIX}${address}`),
    });
    this.#known.set(address, isCreated ? parseReservation(address, text) : undefined);
    if (!isCreated) return false;
    try {
      overwriteFile(join(this.#directory, lastReservedName(setIndex)), address);
    } catch (error) {
      this.releaseAddresses([address]);
      throw error;
    }
    return true;
  }

  /** The text of `last_reserved_ip.<setIndex>`, undefined when there is none. */
  lastReserved(setIndex: number): string | undefined {
    return readIfThere(join(this.#directory, lastReservedName(setIndex)));
  }

  /**
   * Frees what the owner has, lets it rest and gives the addresses. Goes on after an error and
   * throws at the end.
   */
  release(owner: Owner): IP[] {
    const addresses = releasable(this.reservations(), owner).map(({ address }) => address);
    // Noted before, so that a process killed in between has not freed what nobody knows of.
    this.#options.quarantine?.note(this.#directory, addresses);
    this.releaseAddresses(addresses);
    return addresses;
  }

  /** Frees addresses whoever has them; a file that is gone already is fine. */
  releaseAddresses(addresses: readonly IP[]): void {
    const release = (address: IP) => {
      this.#hasChanged = true;
      ifThere(() => unlinkSync(join(this.#directory, address)));
      this.#known.delete(address);
    };
    const errors = failuresOf(addresses.map((address) => () => release(address)));
    const failure = joinErrors(errors, `release addresses in ${this.#directory}`);
    if (failure !== undefined) throw new IoError(failure.message, { cause: failure });
  }

  /** Makes changes of the directory durable, if that is asked for. Called before the lock goes. */
  finish(): void {
    if (this.#hasChanged && this.#options.isDurable) syncDirectory(this.#directory);
  }
}

function lastReservedName(setIndex: number): string {
  return `last_reserved_ip.${setIndex}`;
}
