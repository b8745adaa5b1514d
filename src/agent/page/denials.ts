import type { ToldDenial } from '../policy/denials.ts';
import { MOST_DENIALS, type UiDenial } from './snapshot.ts';

/** The last denied connections, the newest first. */
export function denialsOf(told: readonly ToldDenial[]): readonly UiDenial[] {
  return told
    .slice(-MOST_DENIALS)
    .reverse()
    .map(({ number, at, from, to, protocol, port, policies, reason }) => {
      return { key: String(number), at, from, to, protocol, port, policies, reason };
    });
}
