import type { IP } from '../../../net/ip.ts';
import type { Clock } from '../../../util/clock.ts';
import type { Candidate } from '../../verdict/explanation.ts';
import type { Forwarding } from './judgement.ts';

/** Shares are fractions. */
const ROUNDING = 1e-9;
/**
 * How many pairs of client and ServicePort are remembered. Beyond that, the least recent is
 * forgotten.
 */
const MOST_REMEMBERED = 65_536;

interface Remembered {
  readonly endpoint: string;
  readonly atMs: number;
}

/** `10.1.0.3 8080` */
export function endpointKey({ ip, port }: Pick<Candidate, 'ip' | 'port'>): string {
  return `${ip} ${port}`;
}

/** Inputs besides the Services. */
export interface ChoiceOptions {
  readonly clock: Pick<Clock, 'elapsed'>;
  /** From 0 to below 1. */
  readonly random: () => number;
}

/**
 * Picks endpoints of new connections: those remembered for clients with session affinity, else in
 * turn, each as often as its share says (smooth weighted round robin, as in nginx). Chance decides
 * who of equals comes first: two clients that take turns would else get the same endpoints for ever.
 */
export class EndpointChoice {
  readonly #options: ChoiceOptions;
  /** By ServicePort and scope: how far each endpoint's turn has come. */
  readonly #credits = new Map<string, ReadonlyMap<string, number>>();
  /** By ServicePort and client, in the order of their last connections. */
  readonly #remembered = new Map<string, Remembered>();

  constructor(options: ChoiceOptions) {
    this.#options = options;
  }

  /** The endpoint to try next; undefined when all were tried. */
  next(
    forwarding: Forwarding,
    client: IP,
    tried: ReadonlySet<string> = new Set(),
  ): Candidate | undefined {
    const left = forwarding.candidates.filter((candidate) => !tried.has(endpointKey(candidate)));
    const remembered = this.#recall(forwarding, client);
    const known = left.find((candidate) => endpointKey(candidate) === remembered);
    return known ?? this.#inTurn(forwarding, left);
  }

  /** Remembers that this endpoint served the client. */
  remember({ servicePort, affinitySeconds }: Forwarding, client: IP, endpoint: Candidate): void {
    if (affinitySeconds === undefined) return;
    const key = `${servicePort} ${client}`;
    this.#remembered.delete(key);
    this.#remembered.set(key, {
      endpoint: endpointKey(endpoint),
      atMs: this.#options.clock.elapsed(),
    });
    if (this.#remembered.size <= MOST_REMEMBERED) return;
    const [oldest = ''] = this.#remembered.keys();
    this.#remembered.delete(oldest);
  }

  /** Forgets the turns of ServicePorts that no longer exist. */
  forget(servicePorts: Iterable<string>): void {
    for (const name of servicePorts) {
      for (const scope of ['cluster', 'node']) this.#credits.delete(`${name} ${scope}`);
    }
  }

  #recall({ servicePort, affinitySeconds }: Forwarding, client: IP): string | undefined {
    if (affinitySeconds === undefined) return undefined;
    const key = `${servicePort} ${client}`;
    const found = this.#remembered.get(key);
    if (found === undefined) return undefined;
    if (this.#options.clock.elapsed() - found.atMs < affinitySeconds * 1000) return found.endpoint;
    this.#remembered.delete(key);
    return undefined;
  }

  /** With a source hash, other endpoints have no share until the chosen one has failed. */
  #inTurn({ servicePort, scope }: Forwarding, left: readonly Candidate[]): Candidate | undefined {
    const sharing = left.filter(({ probability }) => probability > 0);
    const candidates = sharing.length > 0 ? sharing : left;
    const shareOf = ({ probability }: Candidate) => (sharing.length > 0 ? probability : 1);
    const key = `${servicePort} ${scope}`;
    const before = this.#credits.get(key);
    const credits = candidates.map(
      (candidate) => (before?.get(endpointKey(candidate)) ?? 0) + shareOf(candidate),
    );
    const most = Math.max(...credits) - ROUNDING;
    const equals = candidates.filter((_, i) => (credits[i] ?? 0) >= most);
    const best = equals[Math.floor(this.#options.random() * equals.length)];
    const round = candidates.reduce((sum, candidate) => sum + shareOf(candidate), 0);
    this.#credits.set(
      key,
      new Map(
        candidates.map((candidate, i) => [
          endpointKey(candidate),
          (credits[i] ?? 0) - (candidate === best ? round : 0),
        ]),
      ),
    );
    return best;
  }
}
