import type { PolicyCounter } from '../../policy/counters.ts';
import type { PolicyWorld } from '../../policy/world.ts';
import type { ToldDenial } from './denials.ts';

/** What the policy component tells those who ask. */
export interface PolicyView {
  /** Why policies do not hold on this node; empty while they do. */
  readonly whyNotReady: () => string;
  readonly world: () => PolicyWorld;
  readonly counters: () => Promise<readonly PolicyCounter[]>;
  /** Whether a pod, `namespace/name`, is of this node. */
  readonly isLocal: (pod: string) => boolean;
  /** Told denials with a number above `after`, oldest first. */
  readonly denied: (after: number) => readonly ToldDenial[];
  /** Whether denied connections are told at present. */
  readonly tellsDenied: () => boolean;
  /** Tells each from now on. */
  readonly followDenied: (listener: (denial: ToldDenial) => void) => { close(): void };
}
