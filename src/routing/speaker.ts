import type { Clock } from '../util/clock.ts';
import { toError } from '../util/errors.ts';
import type { Logger } from '../util/log.ts';
import { BoundedFrequencyRunner } from '../util/runner.ts';
import type { BirdPlan } from './bird-config.ts';
import { type BirdSession, parseSessions, refusalOf } from './bird-reply.ts';
import type { AskBird } from './bird-socket.ts';

/** The file that BIRD reads, and the one that is tried first. */
export interface ConfigFiles {
  /** What BIRD reads at its own start. */
  readonly path: string;
  /** Undefined: there is none. */
  read(): string | undefined;
  /** Where a configuration lies that BIRD is to check. */
  writeCandidate(text: string): string;
  replace(text: string): void;
}

export interface SpeakerOptions {
  readonly files: ConfigFiles;
  readonly askBird: AskBird;
  /** What BIRD is to do now; undefined while too little is known to take anything away. */
  readonly plan: () => BirdPlan | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface SpeakerReport {
  /** The last one that was made. */
  readonly plan: BirdPlan | undefined;
  readonly sessions: readonly BirdSession[];
  /** Why BIRD does not do what it should; empty when it does. */
  readonly problem: string;
  /** How often BIRD was given another configuration. */
  readonly reloads: number;
}

/** Endpoints come and go in swarms. */
const LEAST_INTERVAL_MS = 100;
const RETRY_MS = 2_000;
/** Passwords in files and BIRD itself are looked at as often. */
const LOOK_EVERY_MS = 10_000;

/**
 * Brings BIRD in line with the plan. BIRD is a process of its own that outlives the agent: it is only
 * ever told to read its configuration again, and only one that it has found to be right.
 */
export class Speaker {
  readonly #options: SpeakerOptions;
  readonly #runner: BoundedFrequencyRunner;
  #report: SpeakerReport = { plan: undefined, sessions: [], problem: '', reloads: 0 };
  /** The text that BIRD is known to have read. */
  #loaded: string | undefined;

  constructor(options: SpeakerOptions) {
    this.#options = options;
    this.#runner = new BoundedFrequencyRunner(() => this.#run(), {
      ...{ minIntervalMs: LEAST_INTERVAL_MS, retryIntervalMs: RETRY_MS },
      ...{ maxIntervalMs: LOOK_EVERY_MS, clock: options.clock },
      onError: (error) => this.#fail(error.message),
    });
  }

  get report(): SpeakerReport {
    return this.#report;
  }

  /** Something of the plan may be another. */
  trigger(): void {
    this.#runner.trigger();
  }

  async stop(): Promise<void> {
    await this.#runner.stop();
  }

  /** How sessions are at this moment; the last known ones where BIRD does not answer. */
  async sessions(): Promise<readonly BirdSession[]> {
    // Nobody is to be talked to, so there need be no BIRD.
    if (this.#report.plan === undefined) return [];
    try {
      await this.#look();
    } catch (thrown) {
      this.#fail(toError(thrown).message);
    }
    return this.#report.sessions;
  }

  async #run(): Promise<void> {
    const plan = this.#options.plan();
    if (plan === undefined) return;
    this.#report = { ...this.#report, plan };
    await this.#load(plan.text);
    await this.#look();
    this.#report = { ...this.#report, problem: '' };
  }

  async #look(): Promise<void> {
    const sessions = parseSessions(await this.#options.askBird('show protocols all'));
    this.#report = { ...this.#report, sessions };
  }

  async #load(text: string): Promise<void> {
    const { files, askBird } = this.#options;
    const isWritten = files.read() === text;
    if (isWritten && this.#loaded === text) return;
    if (!isWritten) await this.#check(text);
    if (!isWritten) files.replace(text);
    const refusal = refusalOf(await askBird('configure'));
    if (refusal !== undefined) throw new Error(`BIRD refuses ${files.path}: ${refusal}`);
    this.#loaded = text;
    this.#report = { ...this.#report, reloads: this.#report.reloads + 1 };
    this.#options.log.info({ file: files.path }, 'BIRD reads its configuration');
  }

  /** Throws when BIRD would refuse it. One that does not run yet will start with it. */
  async #check(text: string): Promise<void> {
    const { files, askBird } = this.#options;
    const candidate = files.writeCandidate(text);
    let refusal: string | undefined;
    try {
      refusal = refusalOf(await askBird(`configure check "${candidate}"`));
    } catch (thrown) {
      this.#options.log.debug({ reason: toError(thrown).message }, 'configuration not checked');
    }
    if (refusal === undefined) return;
    throw new Error(`BIRD would refuse its configuration, the old one stays: ${refusal}`);
  }

  #fail(problem: string): void {
    if (problem !== this.#report.problem) this.#options.log.warn({ problem }, 'BIRD');
    this.#report = { ...this.#report, problem };
  }
}
