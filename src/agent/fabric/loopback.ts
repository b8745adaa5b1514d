import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { dropIn } from '../drop-in/drop-in.ts';
import { stepLines } from '../drop-in/text.ts';

/** containerd executes it for each pod, whatever the network. */
const NAME = 'loopback';

/**
 * Has weft answer as `loopback` in the runtime's plugin directory where nobody else does. Gives what
 * was done, undefined for nothing. Throws IoError, as where the directory has no weft.
 */
export function placeLoopback(directory: string): string | undefined {
  if (lstatSync(join(directory, NAME), { throwIfNoEntry: false }) !== undefined) return undefined;
  const shim = join(directory, 'weft');
  const none = { refusals: [], isUndo: false, isDryRun: false };
  const steps = dropIn({ cniBin: directory, shim, names: [NAME], ...none });
  return stepLines(steps, false).join('; ');
}
