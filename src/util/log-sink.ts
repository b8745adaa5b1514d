import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { type Clock, systemClock } from './clock.ts';
import { errorCode } from './errors.ts';
import { sleep } from './wait.ts';

export interface LogSinkOptions {
  readonly clock?: Clock;
  /** Most bytes that wait for a slow reader; lines beyond are dropped and counted. */
  readonly maxWaitingBytes?: number;
  /** What is written of a line; default: the line. */
  readonly layOut?: (line: string) => string;
}

const MAX_WAITING_BYTES = 1 << 20;
const RETRY_MS = 20;
/** Of the last lines, in UTF-16 units. */
const MOST_RECENT = 256 * 1024;
/** How long the last lines of a process may take; its reader may be gone for good. */
const FLUSH_MS = 200;
const FLUSH_STEP_MS = 5;

/**
 * Where log lines go: written at once while the reader keeps up, so that the last lines before an
 * exit are there; kept in a bounded buffer while it does not. A write never waits, because a pipe
 * that nobody reads must not stop what is being logged.
 */
export class LogSink {
  readonly #target: number;
  readonly #clock: Clock;
  readonly #maxWaitingBytes: number;
  readonly #layOut: (line: string) => string;
  #writer: { readonly fd: number } | undefined;
  /** Lines that wait. Of the first one the beginning may be written already. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #recent: string[] = [];
  #recentLength = 0;
  #dropped = 0;
  #untold = 0;
  #cancelRetry: (() => void) | undefined;

  /** Opens nothing before the first line. */
  constructor(fd: number, options: LogSinkOptions = {}) {
    const { clock = systemClock, maxWaitingBytes, layOut = (line) => line } = options;
    this.#target = fd;
    this.#clock = clock;
    this.#maxWaitingBytes = maxWaitingBytes ?? MAX_WAITING_BYTES;
    this.#layOut = layOut;
  }

  /** Lines lost since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The last lines as they were given, oldest first; some 256 KB of them. */
  get recent(): readonly string[] {
    return this.#recent;
  }

  /** Takes one line with its line feed. */
  write(line: string): void {
    this.#remember(line);
    const bytes = Buffer.from(this.#layOut(line));
    if (this.#waiting.length > 0 && this.#waitingBytes + bytes.length > this.#maxWaitingBytes) {
      this.#drop(1);
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#cancelRetry === undefined) this.#writeWaiting();
  }

  /** Gives the reader a last short while, then gives up; for the end of the process. */
  flush(): void {
    for (let waitedMs = 0; waitedMs <= FLUSH_MS; waitedMs += FLUSH_STEP_MS) {
      this.#writeWaiting();
      if (this.#waiting.length === 0) return;
      sleep(FLUSH_STEP_MS);
    }
  }

  /** Half of them go at once, so that a line costs no move of all others. */
  #remember(line: string): void {
    this.#recent.push(line);
    this.#recentLength += line.length;
    if (this.#recentLength <= MOST_RECENT) return;
    while (this.#recentLength > MOST_RECENT / 2 && this.#recent.length > 1) {
      const gone = this.#recent.splice(0, Math.ceil(this.#recent.length / 2));
      for (const { length } of gone) this.#recentLength -= length;
    }
  }

  #writeWaiting(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#writer ??= openWithoutWaiting(this.#target);
    while (this.#waiting.length > 0) {
      const written = tryWrite(this.#writer.fd, this.#waiting[0] ?? Buffer.alloc(0));
      if (written === 'later') {
        this.#cancelRetry = this.#clock.schedule(RETRY_MS, () => this.#writeWaiting());
        return;
      }
      if (written === 'nobody') this.#dropAll();
      else this.#advance(written);
      if (this.#waiting.length === 0 && written !== 'nobody') this.#tellDropped();
    }
  }

  #advance(written: number): void {
    const rest = this.#waiting.shift()?.subarray(written) ?? Buffer.alloc(0);
    this.#waitingBytes -= written;
    if (rest.length > 0) this.#waiting.unshift(rest);
  }

  #drop(lines: number): void {
    this.#dropped += lines;
    this.#untold += lines;
  }

  #dropAll(): void {
    this.#drop(this.#waiting.length);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #tellDropped(): void {
    if (this.#untold === 0) return;
    const time = new Date(this.#clock.now()).toISOString();
    const line = { level: 'warn', time, lines: this.#untold, msg: 'log lines dropped' };
    this.#untold = 0;
    this.write(`${JSON.stringify(line)}\n`);
  }
}

/**
 * The same pipe or terminal behind a descriptor of our own, so that not waiting is ours alone: the
 * flag belongs to the open file, which other processes may share. A socket cannot be opened twice;
 * there Node's own wrapper sets the flag, and is kept because it closes the descriptor when it goes.
 */
function openWithoutWaiting(fd: number): { readonly fd: number; readonly wrapper?: Socket } {
  try {
    const stat = fstatSync(fd);
    if (stat.isSocket()) return { fd, wrapper: new Socket({ fd, readable: false }) };
    if (!stat.isFIFO() && !stat.isCharacterDevice()) return { fd };
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return { fd: openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY) };
  } catch {
    // Without /proc, or with a pipe of another user: writing may wait, but lines are not lost.
    return { fd };
  }
}

function tryWrite(fd: number, bytes: Buffer): number | 'later' | 'nobody' {
  try {
    return writeSync(fd, bytes);
  } catch (thrown) {
    return errorCode(thrown) === 'EAGAIN' ? 'later' : 'nobody';
  }
}
