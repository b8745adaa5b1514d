import type { Refusals } from './values.ts';

/** How many packets were refused, for whatever reason. */
export function refusedInAll({ noEndpoints, noLocalEndpoints, sourceRange }: Refusals): number {
  return noEndpoints + noLocalEndpoints + sourceRange;
}
