import type { IP } from '../net/ip.ts';
import type { FormerFrontend } from './commit-listener.ts';
import type { LayoutOptions } from './layout-options.ts';
import type { ResolvedPort } from './state.ts';

/** What the rules need to know besides Services. */
export interface SessionSettings {
  readonly layout: LayoutOptions;
  /** The addresses that accept NodePorts; of no meaning when they answer on all of them. */
  readonly nodePortIPs: readonly IP[];
}

/**
 * One stretch of time in which the rules of a family in the kernel are known, in one of the proxy's
 * modes: from reading them to the first failure. Its life is the proxier's: every Service is programmed
 * at first, then what changes, and after an exception from any method it is closed.
 */
export interface ServiceSession {
  /** Whether it can go on with these settings; absent where it can with any. */
  fits?(settings: SessionSettings): boolean;
  /**
   * Programs Services, in groups that belong into one transaction. A session's first call has to
   * name every Service there is: what none of them wants is removed.
   */
  program(
    settings: SessionSettings,
    groups: Iterable<readonly string[]>,
    resolve: (service: string) => readonly ResolvedPort[],
  ): Promise<void>;
  /**
   * Removes what nothing leads to or nobody uses any more, some of it after a while; `now` in
   * milliseconds.
   */
  removeIdle(now: number, onFailure: (chain: string, error: unknown) => void): void | Promise<void>;
  /** What was there before the first `program`, as `Commit` has it; nothing after the next one. */
  readonly former?: readonly FormerFrontend[];
  /** Absent: there is nothing to compare. */
  readonly audit?: SessionAudit;
  /** What is in the kernel stays. */
  close(): void;
}

/**
 * Compares what a session has programmed with the kernel, in parts. To be asked between two calls of
 * `program` only, and not before the first.
 */
export interface SessionAudit {
  /** Parts of what it keeps in the kernel: `chains`, `map endpoints`. */
  readonly places: readonly string[];
  /** Counts the differences at one of them; breaks off when it is `isInterrupted`. */
  compare(place: string, isInterrupted: () => boolean): Promise<number | 'unsettled'>;
  /** Whether a Service is programmed as it resolves now. */
  isAsProgrammed(service: string, ports: readonly ResolvedPort[]): boolean;
}

/** Of a session whose part of the kernel is looked at in another way, or belongs to nobody else. */
export const NO_PLACES: Pick<SessionAudit, 'places' | 'compare'> = {
  places: [],
  compare: async () => 0,
};

/** Begins a session for the family of these settings; what it throws is tried again later. */
export type OpenSession = (settings: SessionSettings) => ServiceSession;
