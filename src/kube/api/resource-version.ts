/**
 * Negative when `a` is older than `b`, 0 when they are the same, positive when it is newer;
 * undefined when they cannot be ordered. Kubernetes promises decimal numbers that grow (KEP-5504);
 * anything else is opaque.
 */
export function compareVersions(a: string, b: string): number | undefined {
  if (a === b) return 0;
  if (!isOrdered(a) || !isOrdered(b)) return undefined;
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : 1;
}

function isOrdered(version: string): boolean {
  return /^[1-9][0-9]*$/.test(version);
}

export interface EventFacts {
  readonly version: string;
  /** Version of the object as it is held; undefined when it is not. */
  readonly knownVersion: string | undefined;
  /** Newest version the watch has told of, and `resumed from` before its first event. */
  readonly position: string;
}

/**
 * What to do with an event of a watch, which should come in the order of versions: one that tells of
 * an older state of its object than the held one is a repetition; any other that comes too late may
 * stand for others that were lost, so that only a list helps.
 */
export function judgeEvent({ version, knownVersion, position }: EventFacts): EventVerdict {
  if (knownVersion !== undefined) {
    const toKnown = compareVersions(version, knownVersion) ?? 1;
    if (toKnown === 0) return 'apply';
    if (toKnown < 0) return 'ignore';
  }
  return (compareVersions(version, position) ?? 1) < 0 ? 'relist' : 'apply';
}

export type EventVerdict = 'apply' | 'ignore' | 'relist';
