import { parseJson } from '../../util/json.ts';
import type { Agreement, ExclusiveLease, LeaseOptions } from '../agreement.ts';
import { ApiError } from '../api/api-error.ts';
import { asRecord } from '../api/watch-event.ts';
import type { ServiceAddresses } from '../decode-service-addresses.ts';
import { objectKey, serviceAddresses, services } from '../resources.ts';
import type { Service } from '../types.ts';
import {
  type Asking,
  deleteKey,
  grantLease,
  isUnchanged,
  keepLeaseAlive,
  pairsOf,
  putKey,
  readKey,
  readPrefix,
  revokeLease,
  transact,
} from './transact.ts';
import { encodeText } from './wire.ts';

export interface EtcdAgreementOptions {
  readonly gateway: Asking;
  /** `/weft` */
  readonly prefix: string;
  /** Of Services, by `namespace/name`. */
  readonly notes: () => ReadonlyMap<string, ServiceAddresses>;
}

/**
 * By keys that end with a lease of etcd's, which is kept alive without a change of the store: renewals that
 * are written fill an etcd that nobody compacts.
 */
export function etcdAgreement({ gateway, prefix, notes }: EtcdAgreementOptions): Agreement {
  const noteKey = (service: string) => `${prefix}/${serviceAddresses.plural}/${service}`;
  const change = async (compare: readonly object[], success: object, signal: AbortSignal) => {
    const asked = { isRead: false, signal };
    return (await transact(gateway, { compare, success: [success] }, asked)).isDone;
  };
  const revisionOf = (service: string) => notes().get(service)?.metadata.resourceVersion ?? '0';
  return {
    lease: (options) => new EtcdLease(gateway, prefix, options),
    writeAddresses: async (service, addresses, signal) => {
      const name = objectKey(service);
      const key = noteKey(name);
      const compare = [
        isUnchanged(`${prefix}/${services.plural}/${name}`, versionOf(service)),
        isUnchanged(key, revisionOf(name)),
      ];
      const note = putKey(key, JSON.stringify({ addresses }));
      const isDone = await change(compare, note, signal);
      if (!isDone) throw conflict(key);
    },
    forgetOthers: async (known, signal) => {
      for (const name of [...notes().keys()].filter((each) => !known.has(each))) {
        const key = noteKey(name);
        await change([isUnchanged(key, revisionOf(name))], deleteKey(key), signal);
      }
    },
    sight: { kind: 'asked', holders: (...asked) => holders(gateway, prefix, ...asked) },
  };
}

function versionOf({ metadata }: Service): string {
  return metadata.resourceVersion ?? '0';
}

async function holders(
  gateway: Asking,
  prefix: string,
  namespace: string,
  start: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const place = `${leasesOf(prefix, namespace)}/`;
  const success = [readPrefix(place + start)];
  const { responses } = await transact(gateway, { success }, { isRead: true, signal });
  return responses.flatMap(pairsOf).map(({ key }) => key.slice(place.length));
}

function leasesOf(prefix: string, namespace: string): string {
  return `${prefix}/leases/${namespace}`;
}

function conflict(key: string): ApiError {
  return new ApiError(`etcd ${key}`, {
    ...{ status: 409, reason: 'Conflict', message: 'somebody has changed it' },
  });
}

/** A key that is there as long as its holder keeps a lease of etcd's alive. */
class EtcdLease implements ExclusiveLease {
  readonly #gateway: Asking;
  readonly #options: LeaseOptions;
  readonly #key: string;
  #leaseId: string | undefined;

  constructor(gateway: Asking, prefix: string, options: LeaseOptions) {
    this.#gateway = gateway;
    this.#options = options;
    this.#key = `${leasesOf(prefix, options.namespace)}/${options.name}`;
  }

  async take(signal: AbortSignal): Promise<boolean> {
    const { identity, leaseMs } = this.#options;
    // An endpoint that hangs leaves time for another one.
    const waiting = { signal, timeoutMs: leaseMs / 3 };
    const isAlive =
      this.#leaseId !== undefined && (await keepLeaseAlive(this.#gateway, this.#leaseId, waiting));
    const success = [readKey(this.#key)];
    const { responses } = await transact(this.#gateway, { success }, { isRead: true, ...waiting });
    const [held] = responses.flatMap(pairsOf);
    if (held === undefined) return this.#claim(waiting);
    if (isAlive && held.leaseId === this.#leaseId) return true;
    if (holderOf(held.value) !== identity || held.leaseId === '0') return false;
    // Of an agent of this node that has ended.
    this.#leaseId = held.leaseId;
    return keepLeaseAlive(this.#gateway, held.leaseId, waiting);
  }

  async #claim(waiting: { readonly signal: AbortSignal; readonly timeoutMs: number }) {
    const { leaseMs } = this.#options;
    const leaseId = await grantLease(this.#gateway, Math.ceil(leaseMs / 1000), waiting);
    const compare = [
      { key: encodeText(this.#key), target: 'CREATE', result: 'EQUAL', create_revision: '0' },
    ];
    const success = [putKey(this.#key, JSON.stringify(this.#object()), leaseId)];
    const asked = { isRead: false, ...waiting };
    const { isDone } = await transact(this.#gateway, { compare, success }, asked);
    if (!isDone) await revokeLease(this.#gateway, leaseId, waiting);
    this.#leaseId = isDone ? leaseId : undefined;
    return isDone;
  }

  /** As a Lease (coordination.k8s.io/v1), which others read. */
  #object(): object {
    const { identity, labels, leaseMs, clock } = this.#options;
    const acquireTime = new Date(clock.now()).toISOString().replace('Z', '000Z');
    return {
      ...(labels && { metadata: { labels } }),
      spec: { holderIdentity: identity, leaseDurationSeconds: leaseMs / 1000, acquireTime },
    };
  }
}

function holderOf(text: string): string | undefined {
  const { holderIdentity } = asRecord(asRecord(parseJson(text))['spec']);
  return typeof holderIdentity === 'string' ? holderIdentity : undefined;
}
