import { html } from './html.ts';
import type { Tone } from './words.ts';

const SHAPES: Readonly<Record<Tone, string>> = {
  well: 'M3.2 8.4l3 3 6-6.4',
  doubtful: 'M8 2.6L14.2 13.4H1.8zM8 6.6v3.2M8 11.6v.2',
  bad: 'M3.8 3.8l8.4 8.4M12.2 3.8l-8.4 8.4',
  quiet: 'M4 8h8',
};

/** A tone as a shape, for those who do not see its colour: tick, triangle, cross, dash. */
export function Mark({ tone, size = 16 }: { readonly tone: Tone; readonly size?: number }) {
  return html`
    <svg class=${`mark ${tone}`} viewBox="0 0 16 16" width=${size} height=${size} aria-hidden="true">
      <path d=${SHAPES[tone]} fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" />
    </svg>`;
}

export function markPath(tone: Tone): string {
  return SHAPES[tone];
}
