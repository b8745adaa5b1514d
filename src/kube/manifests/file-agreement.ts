import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../../util/files.ts';
import type { Flock } from '../../util/wait.ts';
import type { Agreement, ExclusiveLease } from '../agreement.ts';
import type { ServiceAddresses } from '../decode-service-addresses.ts';
import { apiVersionOf, objectKey, serviceAddresses } from '../resources.ts';

export interface FileAgreementOptions {
  readonly directory: string;
  readonly flock: Flock;
  /** Of Services, by `namespace/name`, as the directory has them. */
  readonly notes: () => ReadonlyMap<string, ServiceAddresses>;
}

/** Read like every other manifest, by all agents that have the directory or a copy of it. */
export const ADDRESSES_FILE = 'weft-addresses.json';
/** As manifests are: everybody who may look into the directory may read it. */
const MODE = 0o644;

/**
 * By locks on files of the directory, which the kernel frees when their holder ends: for agents of one node, and
 * of nodes that have the directory from one server. Who has the lock is the only one that writes.
 */
export function fileAgreement({ directory, flock, notes }: FileAgreementOptions): Agreement {
  /** What the file is to say, from the first change on. */
  let known: Map<string, readonly string[]> | undefined;
  const all = () => {
    known ??= new Map(Array.from(notes(), ([name, note]) => [name, note.addresses]));
    return known;
  };
  let writing: Promise<void> | undefined;
  let isWritten = true;
  /** What changes in one turn is written once. */
  const write = () => {
    isWritten = false;
    writing ??= Promise.resolve().then(() => {
      writing = undefined;
      const options = { mode: MODE, isDurable: true };
      replaceFile(join(directory, ADDRESSES_FILE), textOf(all()), options);
      isWritten = true;
    });
    return writing;
  };
  return {
    sight: { kind: 'none' },
    lease: ({ name }) =>
      // Somebody else may have written meanwhile.
      new FileLease(join(directory, `.${name}.lock`), flock, () => (known = undefined)),
    writeAddresses: (service, addresses) => {
      all().set(objectKey(service), addresses);
      return write();
    },
    forgetOthers: async (services) => {
      const others = [...all().keys()].filter((name) => !services.has(name));
      for (const name of others) all().delete(name);
      if (others.length > 0 || !isWritten) await write();
    },
  };
}

/** A `List` in the order of names: a change is a few lines of it. */
function textOf(all: ReadonlyMap<string, readonly string[]>): string {
  const { kind } = serviceAddresses;
  const items = [...all.keys()].toSorted().map((key) => {
    const [namespace, name] = key.split('/');
    const metadata = { namespace, name };
    return { apiVersion: apiVersionOf(serviceAddresses), kind, metadata, addresses: all.get(key) };
  });
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, undefined, 1)}\n`;
}

/** Until this process ends, or its file is another one: then others lock that. */
class FileLease implements ExclusiveLease {
  readonly #path: string;
  readonly #flock: Flock;
  readonly #onTaken: () => void;
  #fd: number | undefined;

  constructor(path: string, flock: Flock, onTaken: () => void) {
    this.#path = path;
    this.#flock = flock;
    this.#onTaken = onTaken;
  }

  async take(): Promise<boolean> {
    if (this.#fd !== undefined) {
      // A server of files may have lost the lock.
      if (isAt(this.#fd, this.#path) && this.#flock(this.#fd, 'exclusive')) return true;
      closeSync(this.#fd);
      this.#fd = undefined;
    }
    const fd = openSync(this.#path, 'a', 0o600);
    if (!this.#flock(fd, 'exclusive')) {
      closeSync(fd);
      return false;
    }
    this.#fd = fd;
    this.#onTaken();
    return true;
  }
}

function isAt(fd: number, path: string): boolean {
  const [held, there] = [fstatSync(fd), statSync(path, { throwIfNoEntry: false })];
  return held.ino === there?.ino && held.dev === there.dev;
}
