import { readAttributes } from '../netlink/attributes.ts';
import { errnoName } from '../netlink/errno.ts';
import { NLMSG_ERROR } from '../netlink/message.ts';
import { NETLINK_NETFILTER } from '../netlink/numbers.ts';
import {
  NetlinkError,
  type NetlinkReply,
  NetlinkSocket,
  parseErrorReply,
} from '../netlink/socket.ts';
import { errorCode, toError, WeftError } from '../util/errors.ts';
import { Batch, type BatchOptions } from './batch.ts';
import { isSameRule } from './compare-rules.ts';
import { GEN, MSG, NFNL_SUBSYS_NFTABLES } from './constants.ts';
import {
  decodeChain,
  decodeFamily,
  decodeName,
  decodeRuleChain,
  decodeSet,
  decodeTable,
  type ListedTable,
  type ObservedChain,
  type ObservedSet,
} from './decode.ts';
import { ElementReader } from './decode-elements.ts';
import { decodeNatRule } from './decode-nat.ts';
import { decodeRule, type ObservedRule } from './decode-rules.ts';
import { encodeChainName, encodeRulesOf, encodeSetName, familyHeader } from './encode-objects.ts';
import type { Chain, NamedSet, ObservedElement, Table, TableFamily } from './model.ts';
import type { NatRule } from './nat-rule.ts';
import { tableText } from './text.ts';
import type { Transaction } from './transaction.ts';

/** A whole transaction is one datagram; 200,000 elements with IPv6 keys are about 20 MB. */
const SEND_BUFFER_BYTES = 128 * 1024 * 1024;
/** Listings wait in the socket's queue, error reports of a large transaction too. */
const RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024;

/**
 * The kernel refused something; nothing of that transaction has happened. `code` is the errno's
 * name: ENOENT (it, or a chain or set it refers to), EEXIST, EBUSY (still referred to), EINVAL,
 * ENOTSUP (not in this kind of chain), EMLINK (a loop of jumps), ERESTART (the ruleset changed
 * since the given generation).
 */
export class NftablesError extends WeftError {
  /** `element 172.30.0.1 . tcp . 443 in map service-ips of table ip weft-proxy` */
  readonly object: string;
  /** The kernel's own words, when it has any. */
  readonly extack: string | undefined;

  constructor(code: string, object: string, extack?: string, options?: ErrorOptions) {
    const reason = extack === undefined ? code : `${code} (${extack})`;
    super(code, `nftables ${object}: ${reason}`, options);
    this.object = object;
    this.extack = extack;
  }
}

export interface ConnectionOptions {
  /** Without it the namespace of this process. */
  readonly netns?: { readonly fd: number };
  /** The socket is opened by the first request, which then fails if that does. */
  readonly isLazy?: boolean;
  /**
   * `close` leaves the socket open, for users that come and go: closing waits until the kernel has
   * destroyed what was deleted through it, a grace period of tens of milliseconds
   * (nft_rcv_nl_event in nf_tables_api.c).
   */
  readonly staysOpen?: boolean;
}

/** nf_tables of one network namespace. Everything is synchronous. */
export class NftablesConnection {
  readonly #options: ConnectionOptions;
  #opened: NetlinkSocket | undefined;

  private constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  static open(options: ConnectionOptions = {}): NftablesConnection {
    const connection = new NftablesConnection(options);
    if (options.isLazy !== true) connection.#socket;
    return connection;
  }

  get #socket(): NetlinkSocket {
    const { netns } = this.#options;
    this.#opened ??= NetlinkSocket.open(NETLINK_NETFILTER, {
      ...(netns === undefined ? {} : { netns }),
      sendBufferBytes: SEND_BUFFER_BYTES,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    });
    return this.#opened;
  }

  /** What monitor events of this connection's own transactions carry as `byPortId`. */
  get portId(): number {
    return this.#socket.portId;
  }

  /**
   * Applies a transaction whole or not at all. With `generation` (from `generation()`) only if
   * nothing in the namespace has changed since. Throws NftablesError.
   */
  commit(transaction: Transaction, options: { readonly generation?: number } = {}): void {
    this.#send(transaction, options);
  }

  /**
   * Has the kernel check a transaction as if it were committed, as `nft --check` does: nothing of it
   * ever takes effect and nobody is notified. Throws NftablesError as `commit` would.
   */
  check(transaction: Transaction): void {
    this.#send(transaction, { isTrial: true });
  }

  /** Number of the last change in this namespace by anybody. */
  generation(): number {
    const type = messageType(MSG.GETGEN);
    const [reply] = this.#named('generation', () =>
      this.#socket.request(type, 0, familyHeader(undefined)),
    );
    const attributes = readAttributes(reply?.payload ?? Buffer.alloc(0), 4);
    return attributes.get(GEN.ID)?.readUInt32BE(0) ?? 0;
  }

  tables(family?: TableFamily): ListedTable[] {
    return this.#dump(MSG.GETTABLE, familyHeader(family), 'tables').flatMap(
      ({ payload }) => decodeTable(payload) ?? [],
    );
  }

  /** Empty when there is no such table. */
  chains(table: Table): ObservedChain[] {
    const object = `chains of table ${tableText(table)}`;
    return this.#dump(MSG.GETCHAIN, familyHeader(table.family), object)
      .filter(({ payload }) => decodeFamily(payload) === table.family)
      .map(({ payload }) => decodeChain(payload))
      .filter((chain) => chain.table === table.name)
      .map(({ table: _, ...chain }) => chain);
  }

  /** One question whatever the number of chains. */
  hasChain(table: Table, chain: string): boolean {
    const object = `chain ${chain} of table ${tableText(table)}`;
    try {
      this.#named(object, () =>
        this.#socket.request(messageType(MSG.GETCHAIN), 0, encodeChainName(table, chain)),
      );
      return true;
    } catch (thrown) {
      if (errorCode(thrown) === 'ENOENT') return false;
      throw thrown;
    }
  }

  /** Throws ENOENT when there is no such table. */
  sets(table: Table): ObservedSet[] {
    const payload = encodeRulesOf(table);
    const object = `sets of table ${tableText(table)}`;
    return this.#dump(MSG.GETSET, payload, object).map((reply) => decodeSet(reply.payload));
  }

  /** Names of the stateful objects and flowtables of a table, of which this library makes none. */
  otherObjects(table: Table): string[] {
    const payload = encodeRulesOf(table);
    return [MSG.GETOBJ, MSG.GETFLOWTABLE].flatMap((command) =>
      this.#dump(command, payload, `objects of table ${tableText(table)}`)
        .filter((reply) => decodeFamily(reply.payload) === table.family)
        .map((reply) => decodeName(reply.payload)),
    );
  }

  /** Rules of a chain, in order; none when there is no such chain. */
  rules(table: Table, chain: string): readonly ObservedRule[] {
    const object = `rules of chain ${chain} of table ${tableText(table)}`;
    return this.#dump(MSG.GETRULE, encodeRulesOf(table, chain), object)
      .filter(({ payload }) => decodeRuleChain(payload) === chain)
      .map(({ payload }) => decodeRule(payload));
  }

  /** Rules of all chains of a table of anybody, by chain, in order; see decode-nat.ts. */
  natRules(table: Table): ReadonlyMap<string, readonly NatRule[]> {
    const object = `rules of table ${tableText(table)}`;
    const listed = this.#dump(MSG.GETRULE, encodeRulesOf(table), object);
    const rules = listed.map(({ payload }) => decodeNatRule(payload));
    return Map.groupBy(rules, ({ chain }) => chain);
  }

  /** Whether the rules of a chain are those it shall have; `false` as well without such a chain. */
  hasRules(table: Table, { name, rules }: Chain): boolean {
    const object = `rules of chain ${name} of table ${tableText(table)}`;
    const listed = this.#dump(MSG.GETRULE, encodeRulesOf(table, name), object).filter(
      ({ payload }) => decodeRuleChain(payload) === name,
    );
    return hasSameRules(table, { name, rules }, listed);
  }

  /** Those of `chains` that are missing or have other rules; one listing for all of them. */
  damagedChains(table: Table, chains: readonly Chain[]): readonly Chain[] {
    const listed = Map.groupBy(
      this.#dump(MSG.GETRULE, encodeRulesOf(table), `rules of table ${tableText(table)}`),
      ({ payload }) => decodeRuleChain(payload),
    );
    const names = new Set(this.chains(table).map(({ name }) => name));
    return chains.filter((chain) => {
      const rules = listed.get(chain.name) ?? [];
      return !names.has(chain.name) || !hasSameRules(table, chain, rules);
    });
  }

  /** All elements of a set with their counters. Throws ENOENT when there is no such set. */
  elements(table: Table, set: NamedSet): readonly ObservedElement[] {
    const object = `elements of set ${set.name} of table ${tableText(table)}`;
    const reader = new ElementReader(set);
    for (const { payload } of this.#dump(MSG.GETSETELEM, encodeSetName(table, set.name), object)) {
      reader.read(payload);
    }
    return reader.finish();
  }

  close(): void {
    if (this.#options.staysOpen === true) return;
    this.#opened?.close();
    this.#opened = undefined;
  }

  #send(transaction: Transaction, options: BatchOptions): void {
    if (transaction.operations.length === 0) return;
    const batch = new Batch(transaction, options);
    const first = this.#socket.nextSequence(batch.messageCount);
    let isAcknowledged = false;
    for (const reply of this.#exchange(batch, first)) {
      const message = reply.sequence - first;
      if (reply.type !== NLMSG_ERROR || message < 0 || message >= batch.messageCount) continue;
      const { errno, extack, offset } = parseErrorReply(reply);
      if (errno !== 0) {
        const object = batch.describe(message, offset);
        throw new NftablesError(errnoName(errno), object, extack);
      }
      isAcknowledged = true;
    }
    if (!isAcknowledged) throw new NftablesError('EPROTO', batch.describe(0), 'no answer');
  }

  #exchange(batch: Batch, firstSequence: number): NetlinkReply[] {
    const bytes = batch.encode(firstSequence);
    return this.#named(`${batch.describe(0)} of ${bytes.length} bytes`, () =>
      this.#socket.exchange(bytes),
    );
  }

  #dump(command: number, payload: Buffer, object: string): NetlinkReply[] {
    return this.#named(object, () => this.#socket.dump(messageType(command), payload));
  }

  /** Turns errors of the socket into ours, which name the object. */
  #named<T>(object: string, run: () => T): T {
    try {
      return run();
    } catch (error) {
      const words = error instanceof NetlinkError ? error.extack : toError(error).message;
      throw new NftablesError(codeOf(error), object, words, { cause: error });
    }
  }
}

/** A request is never malformed: so nfnetlink says that nobody has registered for nf_tables. */
function codeOf(error: unknown): string {
  const code = errorCode(error) ?? 'EIO';
  return error instanceof NetlinkError && code === 'EINVAL' ? 'EPROTONOSUPPORT' : code;
}

function hasSameRules(
  table: Table,
  { name, rules }: Chain,
  listed: readonly NetlinkReply[],
): boolean {
  return (
    listed.length === rules.length &&
    rules.every((rule, i) => {
      const payload = listed[i]?.payload;
      return payload !== undefined && isSameRule(table, name, rule, payload);
    })
  );
}

function messageType(command: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | command;
}
