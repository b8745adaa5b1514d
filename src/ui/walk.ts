/** Walking the map with arrow keys: what is next in a direction. */
import type { Box } from './box.ts';

export type Direction = 'left' | 'right' | 'up' | 'down';

const BY_KEY: Readonly<Record<string, Direction>> = {
  ArrowLeft: 'left',
  ArrowRight: 'right',
  ArrowUp: 'up',
  ArrowDown: 'down',
};

export function directionOf(key: string): Direction | undefined {
  return BY_KEY[key];
}

/** The box that is nearest in that direction, what is beside counting as farther; undefined for none. */
export function nextBox<T extends Box>(
  boxes: readonly T[],
  from: Box,
  direction: Direction,
): T | undefined {
  let best: { readonly box: T; readonly distance: number } | undefined;
  for (const box of boxes) {
    const dx = box.x + box.width / 2 - (from.x + from.width / 2);
    const dy = box.y + box.height / 2 - (from.y + from.height / 2);
    const isAcross = direction === 'left' || direction === 'right';
    const ahead = isAcross ? dx : dy;
    const forward = direction === 'left' || direction === 'up' ? -ahead : ahead;
    if (forward < 1) continue;
    const distance = forward + 3 * Math.abs(isAcross ? dy : dx);
    if (best === undefined || distance < best.distance) best = { box, distance };
  }
  return best?.box;
}
