import { rmSync } from 'node:fs';
import { markedConflists } from '../fabric/conflist-file.ts';
import type { Leftover } from './leftover.ts';

/**
 * Network configurations that an agent wrote: with them new pods would be given a network that nobody
 * looks after. One that somebody has changed since is theirs unless it is forced.
 */
export function conflistLeftovers(directory: string): readonly Leftover[] {
  return markedConflists(directory).map(({ path, owner }) => {
    const isChanged = owner === 'changed';
    const remove = () => {
      rmSync(path, { force: true });
      return true;
    };
    const whose = isChanged ? ', which somebody has changed' : '';
    return { text: `network configuration ${path}${whose}`, isNeeded: isChanged, remove };
  });
}
