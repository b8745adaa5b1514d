import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { withDirectoryLock } from '../../ipam/lock.ts';
import { IoError, toError } from '../../util/errors.ts';
import { namesIn, readIfReadable, replaceFile } from '../../util/files.ts';
import type { FlockOptions } from '../../util/wait.ts';
import { attachmentKey } from '../attachment.ts';
import type {
  HostPort,
  HostPortConflict,
  HostPortLedger,
  HostPortRecord,
  HostPortStore,
  PodAddress,
} from '../host-ports.ts';
import { overlaps } from './record.ts';
import { type Claim, decodeClaims, decodeRecord } from './record-json.ts';

/**
 * Opens the store in `directory`, which need not exist. It is on a tmpfs: after a reboot neither the pods
 * nor the kernel's tables are there. DEL, GC and repair need nothing else.
 *
 *     records/<attachment key>      one HostPortRecord
 *     claims/4-tcp-8080             who publishes that port, and on which address
 *     claims/pod-10.0.0.2           who has that address
 *
 *     unfinished                    whatever is being written, until it is whole
 *
 * A claim file makes the search for conflicts independent of how many ports there are. Records are
 * written before claims and removed after them, so a process that is killed in between leaves
 * nothing that the removal of the record does not find; what it was writing goes with the next
 * lock.
 */
export function openHostPortStore(directory: string, lock: FlockOptions): HostPortStore {
  const files: Files = {
    records: join(directory, 'records'),
    claims: join(directory, 'claims'),
    unfinished: join(directory, 'unfinished'),
  };
  const ledger: HostPortLedger = {
    conflict: (record) => findConflict(files, record),
    add: (record) => addRecord(files, record),
    owned: (record) => ownedPart(files, record),
    remove: (record) => removeRecord(files, record),
    discard: (attachment) => discardRecord(files, attachmentKey(attachment)),
  };
  return {
    record: (attachment) => readRecord(files, attachmentKey(attachment)),
    records: () => listRecords(files),
    isSpoilt: (attachment) => {
      const key = attachmentKey(attachment);
      return existsSync(join(files.records, key)) && readRecord(files, key) === undefined;
    },
    isUnfinished: () => existsSync(files.unfinished),
    locked: (job) => {
      writing(directory, () => {
        for (const path of [files.records, files.claims]) {
          mkdirSync(path, { recursive: true, mode: 0o700 });
        }
      });
      const run = () => {
        writing(files.unfinished, () => rmSync(files.unfinished, { force: true }));
        return { value: job(ledger) };
      };
      const outcome = withDirectoryLock(directory, { ...lock, isCreating: true }, run);
      if (outcome === undefined) throw new IoError(`host ports in ${directory}: directory is gone`);
      return outcome.value;
    },
  };
}

/** The records without what is no longer theirs: what belongs into the kernel. */
export function ownedRecords(
  records: readonly HostPortRecord[],
  ledger: HostPortLedger,
): readonly HostPortRecord[] {
  return records.map((record) => ledger.owned(record));
}

interface Files {
  /** Directory. */
  readonly records: string;
  /** Directory. */
  readonly claims: string;
  /** One file is enough: only the holder of the lock writes. */
  readonly unfinished: string;
}

function findConflict(files: Files, record: HostPortRecord): HostPortConflict | undefined {
  const own = attachmentKey(record.attachment);
  for (const port of record.ports) {
    for (const { attachment, ...claim } of readClaims(files, portClaimName(port))) {
      if (attachment === own || !overlaps(port, claim)) continue;
      const owner = readRecord(files, attachment);
      if (owner !== undefined) return { port, owner };
    }
  }
  return undefined;
}

function addRecord(files: Files, record: HostPortRecord): void {
  const attachment = attachmentKey(record.attachment);
  writeJson(files, join(files.records, attachment), record);
  for (const port of record.ports) {
    const name = portClaimName(port);
    const { address, condition } = port;
    const claim = {
      attachment,
      ...(address === undefined ? {} : { address }),
      ...(condition === undefined ? {} : { condition }),
    };
    // What overlaps and was no conflict is a claim without its record.
    const others = readClaims(files, name).filter((known) =>
      known.attachment === attachment ? known.address !== address : !overlaps(known, claim),
    );
    writeClaims(files, name, [...others, claim]);
  }
  for (const pod of record.pods) writeClaims(files, podClaimName(pod), [{ attachment }]);
}

function ownedPart(files: Files, record: HostPortRecord): HostPortRecord {
  const own = attachmentKey(record.attachment);
  const hasClaim = (name: string, address?: HostPort['address']) =>
    readClaims(files, name).some((claim) => claim.attachment === own && claim.address === address);
  return {
    ...record,
    ports: record.ports.filter((port) => hasClaim(portClaimName(port), port.address)),
    pods: record.pods.filter((pod) => hasClaim(podClaimName(pod))),
  };
}

function removeRecord(files: Files, record: HostPortRecord): void {
  const own = attachmentKey(record.attachment);
  const names = [...record.ports.map(portClaimName), ...record.pods.map(podClaimName)];
  for (const name of new Set(names)) {
    const others = readClaims(files, name).filter(({ attachment }) => attachment !== own);
    writeClaims(files, name, others);
  }
  writing(files.records, () => rmSync(join(files.records, own), { force: true }));
}

function discardRecord(files: Files, key: string): void {
  for (const name of namesIn(files.claims)) {
    const claims = decodeClaims(readIfReadable(join(files.claims, name)) ?? '') ?? [];
    const others = claims.filter(({ attachment }) => attachment !== key);
    if (claims.length === 0 || others.length < claims.length) writeClaims(files, name, others);
  }
  writing(files.records, () => rmSync(join(files.records, key), { force: true }));
}

function portClaimName({ family, protocol, port }: HostPort): string {
  return `${family}-${protocol}-${port}`;
}

function podClaimName({ address }: PodAddress): string {
  return `pod-${address}`;
}

function listRecords(files: Files): readonly HostPortRecord[] {
  return namesIn(files.records).flatMap((name) => readRecord(files, name) ?? []);
}

/** The record must be that of its file's name. */
function readRecord(files: Files, key: string): HostPortRecord | undefined {
  const text = readIfReadable(join(files.records, key));
  const record = text === undefined ? undefined : decodeRecord(text);
  return record !== undefined && attachmentKey(record.attachment) === key ? record : undefined;
}

function readClaims(files: Files, name: string): readonly Claim[] {
  const text = readIfReadable(join(files.claims, name));
  return (text === undefined ? undefined : decodeClaims(text)) ?? [];
}

function writeClaims(files: Files, name: string, claims: readonly Claim[]): void {
  const path = join(files.claims, name);
  if (claims.length > 0) writeJson(files, path, claims);
  else writing(path, () => rmSync(path, { force: true }));
}

/** Whole or not at all, also when the process is killed. */
function writeJson({ unfinished }: Files, path: string, value: unknown): void {
  writing(path, () => replaceFile(path, JSON.stringify(value), { unfinished }));
}

function writing(path: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    throw new IoError(`host ports in ${path}: ${toError(cause).message}`, { cause });
  }
}
