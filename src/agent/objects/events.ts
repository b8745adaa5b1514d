/**
 * Events of events.k8s.io/v1, as kube-proxy sends them (k8s.io/client-go/tools/events): short notes
 * on a Node, Service or Pod for people who look at it. Best effort: losing one changes nothing.
 */
import type { ApiClient } from '../../kube/api/client.ts';
import { Allowance } from '../../util/allowance.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';

export interface EventNote {
  /** `namespace` is empty for a Node. */
  readonly about: {
    readonly kind: 'Node' | 'Service' | 'Pod';
    readonly namespace: string;
    readonly name: string;
    /** By which kubectl describe finds events of a Pod. */
    readonly uid?: string | undefined;
  };
  readonly type: 'Normal' | 'Warning';
  /** One word, constant: `Starting`. */
  readonly reason: string;
  /** Who tells it; absent: what dashboards select kube-proxy's events by. */
  readonly controller?: string;
  /** What was being done: `StartKubeProxy`. */
  readonly action: string;
  readonly note: string;
}

/** The Node an agent runs on, as what an event is about. */
export function nodeOf({ nodeName }: { readonly nodeName: string }): EventNote['about'] {
  return { kind: 'Node', namespace: '', name: nodeName };
}

export interface EventSink {
  /** Never blocks and never throws. */
  send(note: EventNote): void;
}

/** For sources of objects that take no events. */
export const NO_EVENTS: EventSink = { send: () => {} };

export interface ApiEventsOptions {
  readonly client: Pick<ApiClient, 'create'>;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Events of cluster-scoped objects live there. */
const DEFAULT_NAMESPACE = 'default';
const MAX_NOTE_LENGTH = 1024;
/** At most this many at once, and one more each refill: a broken node must not flood the server. */
const BURST = 25;
const REFILL_MS = 10_000;
const SAME_AGAIN_MS = 300_000;

/** Sends events to the API server, one after the other. */
export class ApiEvents implements EventSink {
  readonly #options: ApiEventsOptions;
  /** When each note of the last minutes was sent. */
  readonly #sentAt = new Map<string, number>();
  readonly #allowance: Allowance;
  #last: Promise<void> = Promise.resolve();

  constructor(options: ApiEventsOptions) {
    this.#options = options;
    const { clock } = options;
    this.#allowance = new Allowance({ clock, burst: BURST, refillMs: REFILL_MS });
  }

  send(note: EventNote): void {
    if (!this.#isAllowed(note)) {
      this.#options.log.debug({ reason: note.reason, note: note.note }, 'event not sent: too many');
      return;
    }
    this.#last = this.#last.then(() => this.#create(note));
  }

  #isAllowed({ about, reason, note }: EventNote): boolean {
    const now = this.#options.clock.elapsed();
    for (const [key, at] of this.#sentAt) if (now - at >= SAME_AGAIN_MS) this.#sentAt.delete(key);
    const key = JSON.stringify([about, reason, note]);
    if (this.#sentAt.has(key) || !this.#allowance.take()) return false;
    this.#sentAt.set(key, now);
    return true;
  }

  async #create(note: EventNote): Promise<void> {
    const { client, nodeName, clock, log, signal } = this.#options;
    const event = renderEvent(note, nodeName, clock.now());
    const path = `/apis/events.k8s.io/v1/namespaces/${event.metadata.namespace}/events`;
    try {
      await client.create(path, event, signal);
    } catch (thrown) {
      log.debug({ reason: note.reason, cause: toError(thrown).message }, 'event not sent');
    }
  }
}

/** The object to create; `nowMs` also makes its name unique, as client-go's recorder does. */
export function renderEvent(
  { about, type, reason, controller = 'kube-proxy', action, note }: EventNote,
  nodeName: string,
  nowMs: number,
) {
  const { kind, namespace, name, uid } = about;
  const isNamespaced = namespace !== '';
  const stamp = (BigInt(nowMs) * 1_000_000n).toString(16);
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: {
      name: `${name}.${stamp}`,
      namespace: isNamespaced ? namespace : DEFAULT_NAMESPACE,
    },
    // metav1.MicroTime.
    eventTime: new Date(nowMs).toISOString().replace('Z', '000Z'),
    reportingController: controller,
    reportingInstance: `${controller}-${nodeName}`,
    action,
    reason,
    type,
    note: note.slice(0, MAX_NOTE_LENGTH),
    regarding: {
      apiVersion: 'v1',
      kind,
      name,
      // kube-proxy knows no real uid of a Node or Service and sends the name in its place.
      uid: uid ?? (isNamespaced ? `${namespace}/${name}` : name),
      ...(isNamespaced ? { namespace } : {}),
    },
  };
}
