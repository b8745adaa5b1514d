/**
 * Who may see the page's data. On loopback everybody who may connect, unless a token is configured; elsewhere
 * whoever has the token, or a session that stands for it, in the header `Authorization`. No cookie, which a
 * browser sends to every port of the host; and a URL never holds it.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { cidrOf } from '../../net/cidr.ts';
import { ipFamily, tryParseIP } from '../../net/ip.ts';
import { Allowances } from '../../util/allowance.ts';
import type { Clock } from '../../util/clock.ts';
import { type HttpQuestion, type HttpReply, plainText } from '../http/http.ts';

/** What of a request tells who asks. */
export type Asker = Pick<HttpQuestion, 'headers' | 'source'>;

export interface AccessOptions {
  readonly clock: Clock;
  /** Names that a browser may know the server by, besides localhost and addresses. */
  readonly hostNames: readonly string[];
  /** Undefined: none is needed. Throws what is wrong with the file it is in. */
  readonly token: (() => string) | undefined;
}

/** Tokens from one place: so many at once, and one more each second. */
const BURST = 10;
const REFILL_MS = 1_000;
/** Places that are known apart. */
const MOST_PLACES = 1_000;
/** Whoever has one address of a network of that size has all of them. */
const IPV6_PLACE_BITS = 64;

export class Access {
  readonly #options: AccessOptions;
  readonly #allowances: Allowances;
  /** Of this process: a session is worth nothing elsewhere, and does not tell the token. */
  readonly #key = randomBytes(32);

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#allowances = new Allowances({
      ...{ clock: options.clock, burst: BURST, refillMs: REFILL_MS, most: MOST_PLACES },
    });
  }

  /**
   * Undefined, or the answer to a request by a name that is not ours: a page of somebody else's whose name
   * was made to lead here (DNS rebinding). An address cannot be made to.
   */
  refuseHost({ host = '' }: IncomingHttpHeaders): HttpReply | undefined {
    const name = hostName(host);
    const isOurs = name === 'localhost' || this.#options.hostNames.includes(name);
    if (isOurs || tryParseIP(name) !== undefined) return undefined;
    return plainText(
      421,
      'ask for this page by address, as localhost, or by the name of the node\n',
    );
  }

  /** Undefined for whoever may see the data: with a session, or the token itself. */
  refuse(asker: Asker): HttpReply | undefined {
    const elsewhere = refuseOtherPages(asker.headers);
    if (elsewhere !== undefined) return elsewhere;
    const token = this.#options.token?.();
    if (token === undefined) return undefined;
    const given = bearer(asker.headers);
    if (given === undefined) return unauthorized();
    return isEqual(given, this.#sessionOf(token)) ? undefined : this.#refuseToken(asker, token);
  }

  /** Whether who was let in would be now: with the token replaced, or not to be read, nobody is. */
  isAdmitted({ headers }: Pick<Asker, 'headers'>): boolean {
    try {
      const token = this.#options.token?.();
      if (token === undefined) return true;
      const given = bearer(headers) ?? '';
      const session = this.#sessionOf(token);
      return isEqual(given, session) || isEqual(this.#sessionOf(given), session);
    } catch {
      return false;
    }
  }

  /** For the token: a session that stands for it as long as it is the token. */
  open(asker: Asker): HttpReply {
    const token = this.#options.token?.();
    if (token === undefined) return opened('');
    return this.#refuseToken(asker, token) ?? opened(this.#sessionOf(token));
  }

  #refuseToken({ headers, source }: Asker, token: string): HttpReply | undefined {
    if (!this.#allowances.take(placeOf(source))) {
      return plainText(429, 'too many attempts; wait a moment\n');
    }
    const given = bearer(headers) ?? '';
    return isEqual(this.#sessionOf(given), this.#sessionOf(token)) ? undefined : unauthorized();
  }

  #sessionOf(token: string): string {
    return createHmac('sha256', this.#key).update(token).digest('hex');
  }
}

/** Somebody else's page cannot read an answer, but it could take all places of streams (Fetch Metadata). */
function refuseOtherPages(headers: IncomingHttpHeaders): HttpReply | undefined {
  const site = headers['sec-fetch-site'] ?? 'none';
  if (site === 'same-origin' || site === 'none') return undefined;
  return plainText(403, 'only the page itself may ask this\n');
}

/** Who guesses is one place, however many addresses it has. */
function placeOf(source: string): string {
  // A link-local one names its link.
  const ip = tryParseIP(source.replace(/%.*/, ''));
  if (ip === undefined) return source;
  return ipFamily(ip) === 4 ? ip : cidrOf(ip, IPV6_PLACE_BITS);
}

/** `[::1]:80` → `::1` */
function hostName(host: string): string {
  const [, bracketed, bare = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(host) ?? [];
  return (bracketed ?? bare).toLowerCase();
}

function bearer({ authorization = '' }: IncomingHttpHeaders): string | undefined {
  return /^Bearer (\S+)$/i.exec(authorization)?.[1];
}

/** In a time that tells nothing about where they differ. */
function isEqual(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function unauthorized(): HttpReply {
  return plainText(401, 'this needs the token of the page\n');
}

function opened(session: string): HttpReply {
  return { status: 200, contentType: 'application/json', body: JSON.stringify({ session }) };
}
