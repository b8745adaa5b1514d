/** What the agent tells, as it tells it. */
import type { UiChange } from '../agent/page/change.ts';
import type { UiSnapshot } from '../agent/page/snapshot.ts';
import { applyChange } from './apply.ts';
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
  #source: EventSource | undefined;

  constructor(listener: (told: Told) => void) {
    this.#listener = listener;
  }

  start(): void {
    const source = new EventSource('/api/events');
    this.#source = source;
    source.addEventListener('snapshot', ({ data }: MessageEvent<string>) => {
      performance.mark('weft-told');
      // The agent of this page writes exactly this shape; so for the events below.
      this.#show(JSON.parse(data) as UiSnapshot);
    });
    source.addEventListener('change', ({ data }: MessageEvent<string>) => {
      const { snapshot } = this.#told;
      if (snapshot === undefined) return;
      performance.mark('weft-told');
      const change = JSON.parse(data) as UiChange;
      this.#show(applyChange(snapshot, change));
    });
    source.addEventListener('trouble', ({ data }: MessageEvent<string>) => {
      const { words } = JSON.parse(data) as { readonly words: string };
      this.#tell({ ...this.#told, link: { kind: 'trouble', words } });
    });
    source.onerror = () => void this.#onError(source);
  }

  /** For a token that somebody typed; empty: it fits. */
  async unlock(token: string): Promise<string> {
    const refusal = await openSession(token);
    if (refusal === '') this.#again();
    return refusal;
  }

  async #onError(source: EventSource): Promise<void> {
    if (source !== this.#source) return;
    this.#tell({ ...this.#told, link: { kind: 'lost' } });
    // A browser comes back by itself, but not from an answer that is none of events.
    if (source.readyState !== EventSource.CLOSED) return;
    const status = await statusOfEvents();
    if (status === 401) this.#tell({ ...this.#told, link: { kind: 'locked', words: '' } });
    else setTimeout(() => this.#again(), AGAIN_MS);
  }

  #show(snapshot: UiSnapshot): void {
    const history = withRates(this.#told.history, snapshot.services);
    this.#tell({ link: { kind: 'live' }, snapshot, history });
  }

  #again(): void {
    this.#source?.close();
    this.start();
  }

  #tell(told: Told): void {
    this.#told = told;
    this.#listener(told);
  }
}

async function statusOfEvents(): Promise<number> {
  try {
    const response = await fetch('/api/events', { method: 'HEAD' });
    return response.status;
  } catch {
    return 0;
  }
}

/** Gives a token for a cookie; what was wrong in words, empty when nothing was. */
export async function openSession(token: string): Promise<string> {
  try {
    const headers = { Authorization: `Bearer ${token}` };
    const response = await fetch('/api/session', { method: 'POST', headers });
    if (response.ok) return '';
    return response.status === 401 ? 'That is not the token.' : (await response.text()).trim();
  } catch {
    return 'The agent does not answer.';
  }
}
