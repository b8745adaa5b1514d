/** What the agent tells, as it tells it. */
import type { UiChange } from '../agent/page/change.ts';
import type { UiSnapshot } from '../agent/page/snapshot.ts';
import { applyChange } from './apply.ts';
import { openSession } from './ask.ts';
import type { ServerEvent } from './events.ts';
import { follow } from './follow.ts';
import { type History, withRates } from './spark.ts';
import { type VisibleWork, whileVisible } from './visible.ts';

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

/** Tells `listener` of every change from now on, while somebody can see the page. */
export class Stream {
  readonly #listener: (told: Told) => void;
  #told = NOTHING_TOLD;
  #work: VisibleWork | undefined;

  constructor(listener: (told: Told) => void) {
    this.#listener = listener;
  }

  start(): void {
    this.#work ??= whileVisible(async (signal) => {
      const status = await follow('/api/events', signal, (event) => this.#take(event));
      if (signal.aborted) return false;
      const isLocked = status === 401;
      const link: Link = isLocked ? { kind: 'locked', words: '' } : { kind: 'lost' };
      this.#tell({ ...this.#told, link });
      // A token has to be typed first.
      return !isLocked;
    });
  }

  /** For a token that somebody typed; empty: it fits. */
  async unlock(token: string): Promise<string> {
    const refusal = await openSession(token);
    if (refusal === '') this.#work?.again();
    return refusal;
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
