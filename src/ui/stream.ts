/** What the agent tells, as it tells it. */
import type { UiChange } from '../agent/page/change.ts';
import type { UiSnapshot } from '../agent/page/snapshot.ts';
import { applyChange } from './apply.ts';
import { openSession } from './ask.ts';
import type { ServerEvent } from './events.ts';
import { follow } from './follow.ts';
import { type History, withRates } from './spark.ts';

export type Link =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  | { readonly kind: 'lost' }
  /** The agent wants a token first. */
  | { readonly kind: 'locked'; readonly words: string }
  /** It answers, but not with what is asked for. */
  | { readonly kind: 'trouble'; readonly words: string };

export interface Told {
  readonly link: Link;
  readonly snapshot: UiSnapshot | undefined;
  readonly history: History;
}

/** What is told before anything is. */
export const NOTHING_TOLD: Told = {
  link: { kind: 'connecting' },
  snapshot: undefined,
  history: new Map(),
};

const AGAIN_MS = 3_000;

/** Tells `listener` of every change from now on. */
export class Stream {
  readonly #listener: (told: Told) => void;
  #told = NOTHING_TOLD;
  #underWay: AbortController | undefined;

  constructor(listener: (told: Told) => void) {
    this.#listener = listener;
  }

  start(): void {
    this.#underWay?.abort();
    const underWay = new AbortController();
    this.#underWay = underWay;
    void this.#follow(underWay).then((link) => {
      if (underWay !== this.#underWay) return;
      this.#tell({ ...this.#told, link });
      // A token has to be typed first.
      if (link.kind !== 'locked') setTimeout(() => this.#startAfter(underWay), AGAIN_MS);
    });
  }

  /** For a token that somebody typed; empty: it fits. */
  async unlock(token: string): Promise<string> {
    const refusal = await openSession(token);
    if (refusal === '') this.start();
    return refusal;
  }

  /** Until one of both ends it; gives what to say then. */
  async #follow(underWay: AbortController): Promise<Link> {
    const status = await follow('/api/events', underWay, (event) => this.#take(event));
    return status === 401 ? { kind: 'locked', words: '' } : { kind: 'lost' };
  }

  #startAfter(before: AbortController): void {
    if (before === this.#underWay) this.start();
  }

  #take({ name, data }: ServerEvent): void {
    // The agent of this page writes exactly these shapes.
    const value: unknown = JSON.parse(data);
    const { snapshot } = this.#told;
    if (name === 'trouble') {
      const { words } = value as { readonly words: string };
      this.#tell({ ...this.#told, link: { kind: 'trouble', words } });
    } else if (name === 'snapshot') {
      performance.mark('weft-told');
      this.#show(value as UiSnapshot);
    } else if (name === 'change' && snapshot !== undefined) {
      performance.mark('weft-told');
      this.#show(applyChange(snapshot, value as UiChange));
    }
  }

  #show(snapshot: UiSnapshot): void {
    const history = withRates(this.#told.history, snapshot.services);
    this.#tell({ link: { kind: 'live' }, snapshot, history });
  }

  #tell(told: Told): void {
    this.#told = told;
    this.#listener(told);
  }
}
