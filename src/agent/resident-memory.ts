import type { Clock } from '../util/clock.ts';

/** The first when start and first sync are over, then now and again for what ran once since. */
const FIRST_MS = 3_000;
const INTERVAL_MS = 10 * 60_000;

/**
 * Gives back the pages of the program that only the start needed, half of what an idle agent holds:
 * they stay in the page cache, and those that are needed come back without reading the disk.
 */
export function trimProgramPages(
  clock: Clock,
  dropProgramPages: () => void,
): { readonly close: () => void } {
  let cancel = clock.schedule(FIRST_MS, trim);
  function trim(): void {
    try {
      dropProgramPages();
    } catch {
      // Without a descriptor to read the maps with, say: the memory is given back another time.
    }
    cancel = clock.schedule(INTERVAL_MS, trim);
  }
  return { close: () => cancel() };
}
