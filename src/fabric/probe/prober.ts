import type { IP } from '../../net/ip.ts';
import type { Clock } from '../../util/clock.ts';
import { decodeProbe, encodeProbe } from './message.ts';
import type { PathFinding, ProbedPath } from './path.ts';
import { beginSearch, foundSize, HEADER_BYTES, nextSize, noteLimit, noteSize } from './search.ts';

/** UDP at the probe's port, both families. */
export interface ProbeSocket {
  /** Never fragmented on the way as long as it is not larger than what the kernel knows of the path. */
  send(to: IP, port: number, message: Buffer): void;
  onMessage(listener: (message: Buffer, from: IP, port: number) => void): void;
  close(): void;
}

export interface ProberOptions {
  readonly socket: ProbeSocket;
  /** Of all nodes. */
  readonly port: number;
  readonly clock: Clock;
  /** 64 bits that nobody guesses. */
  readonly randomId: () => bigint;
  /** What the kernel has learnt of a path (RFC 1191, RFC 8201); undefined for nothing. */
  readonly knownMtu: (to: IP) => number | undefined;
  readonly onFinding: (finding: PathFinding) => void;
}

/** A path is looked at again after this. */
const ROUND_MS = 60_000;
/** Between two questions, however many peers there are. */
const PAUSE_MS = 20;
/** How long an answer is awaited: this, or once the path has answered, some of its round trips. */
const ANSWER_MS = { least: 200, most: 1_000 } as const;
const ROUND_TRIPS = 8;
/** Paths looked at together, as those that answer nothing take seconds each. */
const MOST_LOOKS = 128;
/** One lost packet says nothing of its size. */
const TRIES = 3;
/** Answers in a second, whoever asks, and to one of them: pods can write a peer's address on questions. */
const MOST_ANSWERS = { toAll: 1_000, toOne: 50 } as const;

interface Question {
  readonly resolve: (roundTripMs: number | undefined) => void;
  readonly askedAtMs: number;
}

/**
 * Asks peers, one path after the other and some at a time, whether packets of the size that pods use arrive, and finds
 * the size that does where they do not. Answers what peers ask, nobody else.
 */
export class Prober {
  readonly #options: ProberOptions;
  readonly #questions = new Map<bigint, Question>();
  readonly #lookedAtMs = new Map<string, number>();
  #paths: ReadonlyMap<string, ProbedPath> = new Map();
  /** Paths that are being looked at. */
  readonly #underway = new Set<string>();
  #wanted = 0;
  #allowed: ReadonlySet<IP> = new Set();
  #turnAtMs = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #isStopped = false;
  #answersIn = { second: 0, count: 0, to: new Map<IP, number>() };

  constructor(options: ProberOptions) {
    this.#options = options;
    options.socket.onMessage((message, from, port) => this.#onMessage(message, from, port));
  }

  /** What is to be looked at from now on: paths, the size that pods use, and who may ask. */
  follow(paths: readonly ProbedPath[], wanted: number, allowed: ReadonlySet<IP>): void {
    this.#allowed = allowed;
    if (wanted !== this.#wanted) this.#lookedAtMs.clear();
    this.#wanted = wanted;
    this.#paths = new Map(paths.map((path) => [`${path.way} ${path.target}`, path]));
    for (const key of this.#lookedAtMs.keys()) {
      if (!this.#paths.has(key)) this.#lookedAtMs.delete(key);
    }
    this.#after(PAUSE_MS);
  }

  close(): void {
    this.#isStopped = true;
    this.#cancel?.();
    for (const { resolve } of this.#questions.values()) resolve(undefined);
    this.#options.socket.close();
  }

  /** The next turn is after this time, or before. */
  #after(ms: number): void {
    const { clock } = this.#options;
    const atMs = clock.elapsed() + ms;
    if (this.#isStopped || this.#turnAtMs <= atMs) return;
    this.#cancel?.();
    this.#turnAtMs = atMs;
    this.#cancel = clock.schedule(ms, () => {
      this.#turnAtMs = Number.POSITIVE_INFINITY;
      this.#turn();
    });
  }

  /** Of the paths that are due the one that has waited longest; who ends a look takes the next turn. */
  #turn(): void {
    if (this.#underway.size >= MOST_LOOKS) return;
    const lookedAtMs = (key: string) => this.#lookedAtMs.get(key) ?? Number.NEGATIVE_INFINITY;
    let next: string | undefined;
    for (const key of this.#paths.keys()) {
      if (this.#underway.has(key)) continue;
      if (next === undefined || lookedAtMs(key) < lookedAtMs(next)) next = key;
    }
    const path = this.#paths.get(next ?? '');
    if (next === undefined || path === undefined) return;
    const waitMs = lookedAtMs(next) + ROUND_MS - this.#options.clock.elapsed();
    if (waitMs <= 0) void this.#lookAt(next, path);
    this.#after(Math.max(waitMs, PAUSE_MS));
  }

  async #lookAt(key: string, path: ProbedPath): Promise<void> {
    this.#underway.add(key);
    this.#lookedAtMs.set(key, this.#options.clock.elapsed());
    const finding = await this.#look(path);
    this.#underway.delete(key);
    if (this.#isStopped) return;
    // It may be another way by now, or another size, and then it is looked at anew.
    if (this.#paths.has(key) && finding.wanted === this.#wanted) this.#options.onFinding(finding);
    this.#after(PAUSE_MS);
  }

  async #look(path: ProbedPath): Promise<PathFinding> {
    const { clock, knownMtu } = this.#options;
    const wanted = this.#wanted;
    let search = beginSearch(path.family, wanted);
    let roundTripMs: number | undefined;
    for (let size = nextSize(search); size !== undefined; size = nextSize(search)) {
      search = noteLimit(search, knownMtu(path.target));
      const took = await this.#try(path, Math.min(size, search.most), roundTripMs);
      // What is asked may be closed by now.
      if (this.#isStopped) break;
      roundTripMs ??= took;
      const tried = noteSize(search, Math.min(size, search.most), took !== undefined);
      search = noteLimit(tried, knownMtu(path.target));
    }
    // A peer that came up meanwhile lost the first ones, whatever their size.
    const isDoubtful = search.passed > 0 && search.passed < search.most && !this.#isStopped;
    if (isDoubtful && (await this.#try(path, search.most, roundTripMs)) !== undefined) {
      search = noteSize(search, search.most, true);
    }
    return { path, wanted, mtu: foundSize(search), roundTripMs, atMs: clock.now() };
  }

  async #try(
    path: ProbedPath,
    size: number,
    roundTripMs: number | undefined,
  ): Promise<number | undefined> {
    const { least, most } = ANSWER_MS;
    const waitMs =
      roundTripMs === undefined
        ? most
        : Math.min(most, Math.max(least, Math.ceil(ROUND_TRIPS * roundTripMs)));
    for (let count = 0; count < TRIES && !this.#isStopped; count += 1) {
      const took = await this.#ask(path, size - HEADER_BYTES[path.family], waitMs);
      if (took !== undefined) return took;
    }
    return undefined;
  }

  async #ask({ target }: ProbedPath, bytes: number, waitMs: number): Promise<number | undefined> {
    const { socket, port, clock, randomId } = this.#options;
    const id = randomId();
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    this.#questions.set(id, { resolve, askedAtMs: clock.elapsed() });
    const cancel = clock.schedule(waitMs, () => resolve(undefined));
    socket.send(target, port, encodeProbe({ kind: 'ask', id, bytes }));
    const took = await promise;
    cancel();
    this.#questions.delete(id);
    return took;
  }

  #onMessage(bytes: Buffer, from: IP, port: number): void {
    const message = decodeProbe(bytes);
    if (message === undefined) return;
    const { socket, clock } = this.#options;
    if (message.kind === 'answer') {
      const question = this.#questions.get(message.id);
      question?.resolve(clock.elapsed() - question.askedAtMs);
      return;
    }
    if (!this.#allowed.has(from) || !this.#mayAnswer(from)) return;
    socket.send(from, port, encodeProbe({ ...message, kind: 'answer' }));
  }

  #mayAnswer(from: IP): boolean {
    const second = Math.floor(this.#options.clock.elapsed() / 1_000);
    if (second !== this.#answersIn.second) this.#answersIn = { second, count: 0, to: new Map() };
    const { to } = this.#answersIn;
    const toOne = to.get(from) ?? 0;
    if (toOne >= MOST_ANSWERS.toOne || this.#answersIn.count >= MOST_ANSWERS.toAll) return false;
    to.set(from, toOne + 1);
    this.#answersIn.count += 1;
    return true;
  }
}
