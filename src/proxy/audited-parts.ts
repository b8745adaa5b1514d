import type { AuditedPart } from '../util/audit.ts';
import { Turn } from '../util/turns.ts';
import type { SessionAudit } from './session.ts';
import type { ResolvedPort } from './state.ts';

/** What a look between two syncs goes by. */
export interface SettledState {
  readonly audit: SessionAudit;
  /** A Service as it was at the last drain, which the kernel is to hold. */
  readonly resolve: (service: string) => readonly ResolvedPort[];
  /** A sync waits for the end of the look. */
  readonly isInterrupted: () => boolean;
}

/** Runs a look between two syncs; `unsettled` while nobody knows what the kernel holds. */
export type WhenSettled = (
  look: (state: SettledState) => Promise<number | 'unsettled'>,
) => Promise<number | 'unsettled'>;

/** A look takes a few milliseconds of CPU, in turns; at 10,000 Services there are 40 of them. */
const SERVICES_PER_LOOK = 250;

/**
 * The parts of a standing comparison: the Services, some at a time, with what the session believes to
 * have programmed, and each place of the session with the kernel. Both together tell whether the
 * kernel holds what is known of the cluster.
 */
export function auditedParts(
  services: Iterable<string>,
  places: readonly string[],
  whenSettled: WhenSettled,
): readonly AuditedPart[] {
  const keys = [...services];
  const parts: AuditedPart[] = [];
  for (let at = 0; at < keys.length; at += SERVICES_PER_LOOK) {
    const some = keys.slice(at, at + SERVICES_PER_LOOK);
    const what = some.length === 1 ? `Service ${some[0]}` : `Services ${some[0]} to ${some.at(-1)}`;
    parts.push({ what, look: () => whenSettled((state) => compareServices(some, state)) });
  }
  for (const place of places) {
    parts.push({
      what: place,
      look: () => whenSettled(({ audit, isInterrupted }) => audit.compare(place, isInterrupted)),
    });
  }
  return parts;
}

async function compareServices(
  services: readonly string[],
  { audit, resolve, isInterrupted }: SettledState,
): Promise<number | 'unsettled'> {
  const turn = new Turn();
  let differences = 0;
  for (const service of services) {
    if (!audit.isAsProgrammed(service, resolve(service))) differences++;
    if (turn.isOver) await turn.next();
    if (isInterrupted()) return 'unsettled';
  }
  return differences;
}
