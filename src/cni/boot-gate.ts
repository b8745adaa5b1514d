/**
 * Networks whose configuration says `"fabric": true` or `"policy": true` get pods only where that
 * component of the node has been in place since this boot. Their configuration is on disk and outlives a
 * reboot, what is in the kernel does not; so what opens a gate is a file in the run directory. It is left
 * open by an agent that ends: what is in the kernel goes on working.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { readIfReadable, replaceFile, writingInto } from '../util/files.ts';

export type GatedComponent = 'fabric' | 'policy';
const GATED: readonly GatedComponent[] = ['fabric', 'policy'];

/** Holds the id of the boot in which it was ready: a directory may outlive a reboot after all. */
const readyFile = (component: GatedComponent) => `${component}-ready`;
/** Holds the id of the boot, and in a second line what is waited for. */
const awaitedFile = (component: GatedComponent) => `${component}-awaited`;

/** Names in the run directory. */
export const GATE_FILES: readonly string[] = GATED.flatMap((component) => [
  readyFile(component),
  awaitedFile(component),
]);

/** What people read of it. */
const MOST_CHARACTERS = 500;

export interface BootGate {
  /** What pods have to wait for, in words; undefined where they need not. */
  awaited(): string | undefined;
}

export interface BootGatePlace {
  readonly component: GatedComponent;
  readonly runDirectory: string;
  readonly bootId: () => string;
}

/** The gate as any process on the node sees it; it is looked at anew each time (one small file). */
export function openBootGate({ component, runDirectory, bootId }: BootGatePlace): BootGate {
  const read = (file: string) => readIfReadable(join(runDirectory, file))?.split('\n') ?? [];
  return {
    awaited: () => {
      if (read(readyFile(component))[0] === bootId()) return undefined;
      const [ofBoot, reason = ''] = read(awaitedFile(component));
      if (ofBoot === bootId() && reason !== '') return reason;
      return `no weft agent with the component ${component} has started since this boot, see weft status`;
    },
  };
}

/** Opens the gate until the next boot. Throws what the file system throws. */
export function markReady({ component, runDirectory, bootId }: BootGatePlace): void {
  const file = join(runDirectory, readyFile(component));
  writingInto(runDirectory, () => replaceFile(file, `${bootId()}\n`));
}

/** Shuts it again: pods that run stay, and no more start. Throws as `markReady`. */
export function shutGate(place: BootGatePlace, reason: string): void {
  noteAwaited(place, reason);
  rmSync(join(place.runDirectory, readyFile(place.component)), { force: true });
}

/** Says what a gate that is shut waits for; opens and shuts nothing. Throws as `markReady`. */
export function noteAwaited(place: BootGatePlace, reason: string): void {
  const { component, runDirectory, bootId } = place;
  const words = reason.replace(/\p{Cc}/gu, ' ').slice(0, MOST_CHARACTERS);
  const file = join(runDirectory, awaitedFile(component));
  writingInto(runDirectory, () => replaceFile(file, `${bootId()}\n${words}\n`));
}
