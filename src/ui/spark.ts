import type { UiService } from '../agent/page/snapshot.ts';

/** Rates of the last minutes by Service, those of this page only. */
export type History = ReadonlyMap<string, readonly number[]>;

/** Of each Service, so that memory is bounded. */
export const MOST_SAMPLES = 48;
/** Less than a line. */
const FEWEST_SAMPLES = 4;

/** The samples with one more, the oldest given up. */
export function withSample(samples: readonly number[], sample: number): readonly number[] {
  return [...samples.slice(-(MOST_SAMPLES - 1)), sample];
}

/** With the rates of now; those of Services that are gone are forgotten. */
export function withRates(history: History, services: readonly UiService[]): History {
  return new Map(
    services.flatMap(({ key, perSecond }) => {
      if (perSecond === undefined) return [];
      return [[key, withSample(history.get(key) ?? [], perSecond)] as const];
    }),
  );
}

/** A line through the samples as an SVG path, the newest at the right edge; empty for few. */
export function sparkPath(samples: readonly number[], width: number, height: number): string {
  if (samples.length < FEWEST_SAMPLES) return '';
  const top = Math.max(...samples, 1e-9);
  const step = width / (MOST_SAMPLES - 1);
  const first = width - step * (samples.length - 1);
  return samples
    .map((sample, i) => {
      const x = (first + i * step).toFixed(1);
      const y = (height - (sample / top) * height).toFixed(1);
      return `${i === 0 ? 'M' : 'L'}${x} ${y}`;
    })
    .join('');
}
