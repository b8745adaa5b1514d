/**
 * Networks whose configuration says `"fabric": true` get pods only where the node's fabric has been
 * in place since this boot. Their configuration is on disk and outlives a reboot, routes and tunnels
 * do not; so what opens the gate is a file in the run directory. It is left open by an agent that ends:
 * what is in the kernel goes on working.
 */
import { join } from 'node:path';
import { readIfReadable, replaceFile, writingInto } from '../util/files.ts';

/** Holds the id of the boot in which the fabric was ready: a directory may outlive a reboot after all. */
const READY_FILE = 'fabric-ready';
/** Holds the id of the boot, and in a second line what is waited for. */
const AWAITED_FILE = 'fabric-awaited';

/** Names in the run directory. */
export const FABRIC_GATE_FILES: readonly string[] = [READY_FILE, AWAITED_FILE];

/** What people read of it. */
const MOST_CHARACTERS = 500;

export interface FabricGate {
  /** What an ADD has to wait for, in words; undefined where it need not. */
  awaited(): string | undefined;
}

export interface FabricGatePlace {
  readonly runDirectory: string;
  readonly bootId: () => string;
}

/** The gate as any process on the node sees it; it is looked at anew each time (one small file). */
export function openFabricGate({ runDirectory, bootId }: FabricGatePlace): FabricGate {
  const read = (file: string) => readIfReadable(join(runDirectory, file))?.split('\n') ?? [];
  return {
    awaited: () => {
      if (read(READY_FILE)[0] === bootId()) return undefined;
      const [ofBoot, reason = ''] = read(AWAITED_FILE);
      if (ofBoot === bootId() && reason !== '') return reason;
      return 'no weft agent with the component fabric has started since this boot, see weft status';
    },
  };
}

/** Opens the gate until the next boot. Throws what the file system throws. */
export function markFabricReady({ runDirectory, bootId }: FabricGatePlace): void {
  const file = join(runDirectory, READY_FILE);
  writingInto(runDirectory, () => replaceFile(file, `${bootId()}\n`));
}

/** Says what a gate that is shut waits for; opens and shuts nothing. Throws as `markFabricReady`. */
export function noteFabricAwaited({ runDirectory, bootId }: FabricGatePlace, reason: string): void {
  const words = reason.replace(/\p{Cc}/gu, ' ').slice(0, MOST_CHARACTERS);
  const file = join(runDirectory, AWAITED_FILE);
  writingInto(runDirectory, () => replaceFile(file, `${bootId()}\n${words}\n`));
}
