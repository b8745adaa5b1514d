import { attachmentKey } from '../../cni/attachment.ts';
import type {
  AttachmentEntry,
  AttachmentRecord,
  AttachmentRecords,
} from '../../cni/attachment-records.ts';
import type { Clock } from '../../util/clock.ts';
import { Reminder } from '../../util/complaints.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import { takeAtOnce } from '../../util/turns.ts';
import { podKeyOf } from '../policy/local-pods.ts';
import { AddressLogFile, readAddressLog } from './log-file.ts';
import { type Holding, holdingLine, readLogSteps } from './log-lines.ts';

export interface AddressHistoryOptions {
  readonly records: AttachmentRecords;
  /** Records of another boot belong to no pod that there is. */
  readonly bootId: () => string;
  /** Where the log is. */
  readonly runDir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Lines of so long are written at once: an ADD or DEL waits for no disk. */
const WRITE_AFTER_MS = 1_000;
/** How often other processes' records are looked for. */
const LOOK_EVERY_MS = 60_000;
const SAID_AGAIN_MS = 600_000;

/**
 * Who had which address when, as a log in the run directory that this process alone writes. What its own ADDs
 * and DELs do is told by the records; what other processes did, or was done while no agent ran, is found by
 * comparing. A killed agent loses the last second, and finds of it what has changed.
 */
export class AddressHistory {
  readonly #options: AddressHistoryOptions;
  readonly #file: AddressLogFile;
  readonly #reminder: Reminder;
  readonly #looking: BoundedFrequencyRunner;
  /** By the key of the attachment. */
  readonly #held = new Map<string, Holding>();
  #waiting = '';
  #cancelWrite: (() => void) | undefined;

  private constructor(options: AddressHistoryOptions) {
    const { clock, log, runDir } = options;
    this.#options = options;
    this.#file = new AddressLogFile(runDir);
    this.#reminder = new Reminder(clock, SAID_AGAIN_MS);
    this.#looking = new BoundedFrequencyRunner(async () => this.look(), {
      ...{ minIntervalMs: LOOK_EVERY_MS, retryIntervalMs: LOOK_EVERY_MS },
      ...{ maxIntervalMs: LOOK_EVERY_MS, clock },
      onError: (err) => log.warn({ err }, 'records of addresses not read'),
    });
  }

  /** Takes up what the log has, and looks at once. */
  static start(options: AddressHistoryOptions): AddressHistory {
    const history = new AddressHistory(options);
    const { open } = takeAtOnce(readLogSteps(readAddressLog(options.runDir)));
    for (const holding of open.values()) history.#held.set(keyOf(holding), holding);
    history.#looking.trigger();
    return history;
  }

  /** The records, told on to here as this process writes them. */
  observe(records: AttachmentRecords): AttachmentRecords {
    return {
      ...records,
      write: (entry) => {
        records.write(entry);
        this.#take(entry, this.#options.clock.now());
      },
      remove: (attachment) => {
        records.remove(attachment);
        this.#free(attachmentKey(attachment), false);
      },
    };
  }

  /** Compares with the records, which other processes write too. */
  look(): void {
    const { records, bootId } = this.#options;
    const keys = records.keys();
    const present = new Set(keys);
    for (const key of this.#held.keys()) if (!present.has(key)) this.#free(key, true);
    const added = records.list(keys.filter((key) => !this.#held.has(key)));
    const boot = added.length === 0 ? '' : bootId();
    for (const record of added) {
      if (record.bootId === boot) this.#take(record, record.createdAtMs);
    }
  }

  /** Looks, and writes what waits. */
  settle(): void {
    this.look();
    this.#write();
  }

  /** Writes what waits. */
  async close(): Promise<void> {
    await this.#looking.stop();
    this.#write();
  }

  #take(entry: AttachmentEntry | AttachmentRecord, sinceMs: number): void {
    if (entry.addresses.length === 0) return;
    const key = attachmentKey(entry.attachment);
    this.#free(key, false);
    const { network, containerId: container, ifName } = entry.attachment;
    const pod = podKeyOf(entry.pod);
    const holding: Holding = {
      ...{ network, container, interface: ifName },
      ...(pod === undefined ? {} : { pod }),
      addresses: entry.addresses,
      sinceMs,
    };
    this.#held.set(key, holding);
    this.#note(holdingLine(holding));
  }

  #free(key: string, isLate: boolean): void {
    const holding = this.#held.get(key);
    if (holding === undefined) return;
    this.#held.delete(key);
    const untilMs = this.#options.clock.now();
    this.#note(holdingLine({ ...holding, untilMs, ...(isLate ? { isLate } : {}) }));
  }

  #note(line: string): void {
    this.#waiting += line;
    this.#cancelWrite ??= this.#options.clock.schedule(WRITE_AFTER_MS, () => this.#write());
  }

  /** What cannot be written is lost: it is told, and ADDs go on. */
  #write(): void {
    this.#cancelWrite?.();
    this.#cancelWrite = undefined;
    const lines = this.#waiting;
    this.#waiting = '';
    if (lines === '') return;
    try {
      this.#file.append(lines, () => Array.from(this.#held.values(), holdingLine).join(''));
    } catch (thrown) {
      const { log, runDir } = this.#options;
      const reason = toError(thrown).message;
      if (this.#reminder.isDue(reason)) log.warn({ runDir, reason }, 'address history not written');
    }
  }
}

function keyOf(holding: Holding): string {
  const { network, container: containerId, interface: ifName } = holding;
  return attachmentKey({ network, containerId, ifName });
}
