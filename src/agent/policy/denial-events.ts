import { Allowance } from '../../util/allowance.ts';
import type { Clock } from '../../util/clock.ts';
import type { EventNote, EventSink } from '../objects/events.ts';
import type { ToldDenial } from './denials.ts';

export interface DenialEventsOptions {
  readonly events: EventSink;
  readonly clock: Clock;
  /** Of a pod of this node by `namespace/name`, where it is known. */
  readonly uidOf: (pod: string) => string | undefined;
}

/** A pod hears of denied connections of one direction no sooner again. */
const AGAIN_MS = 600_000;
/** Pods that are remembered; the one told longest ago gives way. */
const MOST_PODS = 1_000;
/** Of all pods together: policies must not use up what other events need. */
const BURST = 10;
const REFILL_MS = 60_000;

interface Told {
  readonly at: number;
  /** Not told since then. */
  others: number;
}

/**
 * Tells pods of this node of connections that policies deny them: the first of a direction, then one
 * in ten minutes with how many there were meanwhile.
 */
export class DenialEvents {
  readonly #options: DenialEventsOptions;
  readonly #allowance: Allowance;
  readonly #told = new Map<string, Told>();

  constructor(options: DenialEventsOptions) {
    this.#options = options;
    const { clock } = options;
    this.#allowance = new Allowance({ clock, burst: BURST, refillMs: REFILL_MS });
  }

  tell(denial: ToldDenial): void {
    const { clock, events } = this.#options;
    if (denial.pod === undefined) return;
    const key = `${denial.pod} ${denial.direction}`;
    const last = this.#told.get(key);
    if (last !== undefined && clock.elapsed() - last.at < AGAIN_MS) {
      last.others++;
      return;
    }
    if (!this.#allowance.take()) return;
    this.#told.delete(key);
    this.#told.set(key, { at: clock.elapsed(), others: 0 });
    const [oldest] = this.#told.keys();
    if (this.#told.size > MOST_PODS && oldest !== undefined) this.#told.delete(oldest);
    events.send({
      about: this.#about(denial.pod),
      ...{ controller: 'weft', action: 'EnforcePolicy', type: 'Warning' },
      ...{ reason: 'ConnectionDenied', note: noteOf(denial, last?.others ?? 0) },
    });
  }

  #about(pod: string): EventNote['about'] {
    const [namespace = '', name = ''] = pod.split('/');
    return { kind: 'Pod', namespace, name, uid: this.#options.uidOf(pod) };
  }
}

function noteOf({ from, to, protocol, port, reason }: ToldDenial, others: number): string {
  const where = port === 0 ? `${to} (${protocol})` : `${to}, ${protocol} ${port}`;
  const more = others === 0 ? '' : `; ${others} more in the last minutes`;
  return `${from} to ${where}: ${reason}${more}`;
}
