import type { Pod } from '../../kube/policy/types.ts';
import { objectKey } from '../../kube/resources.ts';
import type { Clock } from '../../util/clock.ts';

export interface UnrecordedOptions {
  /** Those that the API places on this node. */
  readonly pods: () => Iterable<Pod>;
  /** By `namespace/name`: whether the CNI knows of an interface of it. */
  readonly isRecorded: (key: string) => boolean;
  readonly clock: Pick<Clock, 'elapsed'>;
}

/** A sandbox that is made anew has none for a moment, and what the API says of a pod that ends is older. */
const PATIENCE_MS = 60_000;

/**
 * Pods of this node with addresses of which the CNI has no record, attached by somebody else: no policy is
 * enforced for them.
 */
export class Unrecorded {
  readonly #options: UnrecordedOptions;
  /** By pod, since when; milliseconds. */
  #since: ReadonlyMap<string, number> = new Map();

  constructor(options: UnrecordedOptions) {
    this.#options = options;
  }

  /** Whoever is without a record at two looks counts as without one meanwhile. */
  look(): void {
    const { pods, isRecorded, clock } = this.#options;
    const now = clock.elapsed();
    const found = new Map<string, number>();
    for (const pod of pods()) {
      const key = objectKey(pod);
      if (pod.usesHostNetwork || pod.hasEnded || pod.ips.length === 0 || isRecorded(key)) continue;
      found.set(key, this.#since.get(key) ?? now);
    }
    this.#since = found;
  }

  /** Those that were so for a minute, by `namespace/name`. */
  get names(): readonly string[] {
    const { clock } = this.#options;
    const old = [...this.#since].filter(([, since]) => clock.elapsed() - since >= PATIENCE_MS);
    return old.map(([key]) => key).sort();
  }
}
