/**
 * Who may see the page's data. On loopback everybody who may connect, unless a token is configured; elsewhere
 * whoever has the token, in a header or, for a browser, as a cookie that it got for it. A URL never holds it.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { tryParseIP } from '../../net/ip.ts';
import { Allowance } from '../../util/allowance.ts';
import type { Clock } from '../../util/clock.ts';
import { type HttpReply, plainText } from '../http/http.ts';

export interface AccessOptions {
  readonly clock: Clock;
  /** Names that a browser may know the server by, besides localhost and addresses. */
  readonly hostNames: readonly string[];
  /** Undefined: none is needed. Throws what is wrong with the file it is in. */
  readonly token: (() => string) | undefined;
}

/** Wrong tokens: so many at once, and one more each second. */
const BURST = 10;
const REFILL_MS = 1_000;
const COOKIE = 'weft-page';

export class Access {
  readonly #options: AccessOptions;
  readonly #allowance: Allowance;
  /** Of this process: a cookie is worth nothing elsewhere, and does not tell the token. */
  readonly #key = randomBytes(32);

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#allowance = new Allowance({
      ...{ clock: options.clock, burst: BURST, refillMs: REFILL_MS },
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

  /** Undefined for whoever may see the data. */
  refuse(headers: IncomingHttpHeaders): HttpReply | undefined {
    const token = this.#options.token?.();
    if (token === undefined) return undefined;
    const cookie = cookieOf(headers.cookie ?? '');
    if (cookie !== undefined && isEqual(cookie, this.#cookieFor(token))) return undefined;
    const given = bearer(headers);
    return given === undefined ? unauthorized() : this.#refuseToken(given, token);
  }

  /** For a token in the header `Authorization`: a cookie that stands for it. */
  open(headers: IncomingHttpHeaders): HttpReply {
    const token = this.#options.token?.();
    if (token === undefined) return done({});
    const refusal = this.#refuseToken(bearer(headers) ?? '', token);
    if (refusal !== undefined) return refusal;
    const cookie = `${COOKIE}=${this.#cookieFor(token)}; HttpOnly; SameSite=Strict; Path=/`;
    return done({ 'Set-Cookie': cookie });
  }

  #refuseToken(given: string, token: string): HttpReply | undefined {
    if (!this.#allowance.take()) return plainText(429, 'too many attempts; wait a moment\n');
    return isEqual(this.#cookieFor(given), this.#cookieFor(token)) ? undefined : unauthorized();
  }

  #cookieFor(token: string): string {
    return createHmac('sha256', this.#key).update(token).digest('hex');
  }
}

/** `[::1]:80` → `::1` */
function hostName(host: string): string {
  const [, bracketed, bare = ''] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(host) ?? [];
  return (bracketed ?? bare).toLowerCase();
}

function cookieOf(header: string): string | undefined {
  const pair = header.split(/;\s*/).find((each) => each.startsWith(`${COOKIE}=`));
  return pair?.slice(COOKIE.length + 1);
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

function done(headers: Readonly<Record<string, string>>): HttpReply {
  return { ...plainText(200, 'welcome\n'), headers };
}
