import type { IptablesPrograms } from '../../../iptables/programs.ts';
import type { Clock } from '../../../util/clock.ts';
import { toError } from '../../../util/errors.ts';
import type { Logger } from '../../../util/log.ts';
import { type PacketCounts, readPacketCounts } from './packet-counts.ts';

/** Two programs run for each reading, so that frequent scrapes share one. */
const FRESH_MS = 10_000;

/**
 * The packet counts of rules, for scrapes: gives the last ones at once and has newer ones read when
 * these are old. Undefined before the first reading.
 */
export function rememberPacketCounts(
  programs: IptablesPrograms,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): () => PacketCounts | undefined {
  let counts: PacketCounts | undefined;
  let readAtMs = Number.NEGATIVE_INFINITY;
  let isReading = false;
  const read = async () => {
    isReading = true;
    try {
      counts = await readPacketCounts(programs);
    } catch (thrown) {
      log.debug({ reason: toError(thrown).message }, 'packet counts of rules not read');
    }
    readAtMs = clock.elapsed();
    isReading = false;
  };
  return () => {
    if (!isReading && clock.elapsed() - readAtMs >= FRESH_MS) void read();
    return counts;
  };
}
