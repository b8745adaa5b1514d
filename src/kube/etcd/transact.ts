/** Requests to etcd that change something: transactions, and the leases that keys end with. */
import { DecodeError } from '../../util/errors.ts';
import { asRecord } from '../api/watch-event.ts';
import type { KeyValue } from './entries.ts';
import type { EtcdGateway } from './gateway.ts';
import { encodeText, parsePair, prefixEnd } from './wire.ts';

export type Asking = Pick<EtcdGateway, 'ask'>;

/** How long to wait for an answer, and until when one is of use. */
export interface Waiting {
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
}

/** A transaction of etcd (etcdserverpb.TxnRequest), in the gateway's JSON. */
export interface EtcdTransaction {
  readonly compare?: readonly object[];
  readonly success?: readonly object[];
  readonly failure?: readonly object[];
}

export interface TransactionOutcome {
  /** Everything compared was as it says. */
  readonly isDone: boolean;
  readonly responses: readonly unknown[];
}

/** `isRead`: nothing changes by it, so that another endpoint may be asked the same. */
export async function transact(
  gateway: Asking,
  { compare = [], success = [], failure = [] }: EtcdTransaction,
  { isRead, ...waiting }: Waiting & { readonly isRead: boolean },
): Promise<TransactionOutcome> {
  const body = { compare, success, failure };
  const { succeeded, responses } = await gateway.ask({
    ...{ path: '/v3/kv/txn', body, isRead, ...waiting },
  });
  return { isDone: succeeded === true, responses: Array.isArray(responses) ? responses : [] };
}

/** Nobody has changed the key since it had this revision; `0`: there is none. */
export function isUnchanged(key: string, modRevision: string): object {
  return {
    ...{ key: encodeText(key), target: 'MOD', result: 'EQUAL' },
    mod_revision: modRevision,
  };
}

/** The key, to end with a lease if there is one. */
export function putKey(key: string, value: string, leaseId = '0'): object {
  return { request_put: { key: encodeText(key), value: encodeText(value), lease: leaseId } };
}

export function deleteKey(key: string): object {
  return { request_delete_range: { key: encodeText(key) } };
}

export function readKey(key: string): object {
  return { request_range: { key: encodeText(key) } };
}

/** All keys that begin so. */
export function readPrefix(prefix: string): object {
  return { request_range: { key: encodeText(prefix), range_end: prefixEnd(prefix) } };
}

/** What one of the ranges of a transaction found. */
export function pairsOf(response: unknown): readonly KeyValue[] {
  const { kvs } = asRecord(asRecord(response)['response_range']);
  return (Array.isArray(kvs) ? kvs : []).map(parsePair);
}

/** A lease of etcd's; it may give a longer one than is asked for. */
export async function grantLease(
  gateway: Asking,
  seconds: number,
  waiting: Waiting,
): Promise<string> {
  const question = { path: '/v3/lease/grant', body: { TTL: String(seconds) }, isRead: false };
  const { ID } = await gateway.ask({ ...question, ...waiting });
  if (typeof ID !== 'string') throw new DecodeError('etcd: a lease without ID');
  return ID;
}

/** For as long again; false where it has ended. */
export async function keepLeaseAlive(
  gateway: Asking,
  leaseId: string,
  waiting: Waiting,
): Promise<boolean> {
  const question = { path: '/v3/lease/keepalive', body: { ID: leaseId }, isRead: true };
  const { TTL = '0' } = asRecord((await gateway.ask({ ...question, ...waiting }))['result']);
  return Number(TTL) > 0;
}

/** The keys that end with it are gone at once. */
export async function revokeLease(
  gateway: Asking,
  leaseId: string,
  waiting: Waiting,
): Promise<void> {
  const question = { path: '/v3/lease/revoke', body: { ID: leaseId }, isRead: false };
  await gateway.ask({ ...question, ...waiting });
}
