/** Leases and configuration of subnets in etcd: one request each, nothing is decided here. */
import type { HeldLease } from '../../fabric/subnets/choose.ts';
import { leaseLayout, type Subnets, subnetKey, subnetLeases } from '../../fabric/subnets/lease.ts';
import { asRecord } from '../../kube/api/watch-event.ts';
import { Entry, type KeyValue } from '../../kube/etcd/entries.ts';
import type { EtcdGateway } from '../../kube/etcd/gateway.ts';
import { encodeText, parsePair, prefixEnd } from '../../kube/etcd/wire.ts';
import { DecodeError } from '../../util/errors.ts';

/** flannel's: a node that is away for longer loses its subnet. */
export const SUBNET_TTL_SECONDS = 86_400;

export interface StoredNetwork {
  /** Undefined: nobody has put one. */
  readonly configText: string | undefined;
  readonly leases: readonly HeldLease[];
}

export class SubnetStore {
  readonly #gateway: Pick<EtcdGateway, 'ask'>;
  readonly #network: string;

  /** `network`: flannel's prefix, `/coreos.com/network`. */
  constructor(gateway: Pick<EtcdGateway, 'ask'>, network: string) {
    this.#gateway = gateway;
    this.#network = network;
  }

  /** Where the configuration is. */
  get configKey(): string {
    return `${this.#network}/config`;
  }

  /** All of it at one revision. */
  async read(signal: AbortSignal): Promise<StoredNetwork> {
    const { prefix } = leaseLayout(this.#network);
    const { responses } = await this.#transact(
      {
        success: [
          { request_range: { key: encodeText(this.configKey) } },
          { request_range: { key: encodeText(prefix), range_end: prefixEnd(prefix) } },
        ],
      },
      true,
      signal,
    );
    const [config, leases] = responses.map((each) => pairsOf(asRecord(each)['response_range']));
    if (config === undefined || leases === undefined) throw new DecodeError('etcd: no answer');
    return {
      configText: config[0]?.value,
      leases: leases.flatMap((pair) => heldLease(pair, this.#network) ?? []),
    };
  }

  /** A lease of etcd's, for a day. */
  async grant(signal: AbortSignal): Promise<string> {
    const body = { TTL: String(SUBNET_TTL_SECONDS) };
    const { ID } = await this.#gateway.ask({
      path: '/v3/lease/grant',
      body,
      isRead: false,
      signal,
    });
    if (typeof ID !== 'string') throw new DecodeError('etcd: a lease without ID');
    return ID;
  }

  /** For another day; false where it has ended. */
  async keepAlive(leaseId: string, signal: AbortSignal): Promise<boolean> {
    const question = { path: '/v3/lease/keepalive', body: { ID: leaseId }, isRead: true, signal };
    const { TTL = '0' } = asRecord((await this.#gateway.ask(question))['result']);
    return Number(TTL) > 0;
  }

  async revoke(leaseId: string, signal: AbortSignal): Promise<void> {
    const question = { path: '/v3/lease/revoke', body: { ID: leaseId }, isRead: false, signal };
    await this.#gateway.ask(question);
  }

  /** False where somebody has the subnet, whatever stands beside it in the key. */
  async claim(
    subnets: Subnets,
    text: string,
    leaseId: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { prefix } = leaseLayout(this.#network);
    const compare = (name: string) => ({
      ...{ key: encodeText(prefix + name), target: 'CREATE', result: 'EQUAL' },
      create_revision: '0',
    });
    const four = subnetKey([subnets[0]]);
    const ofBoth = `${prefix}${four}&`;
    const { isDone } = await this.#transact(
      {
        // A range that is empty counts as one key that was never made.
        compare: [compare(four), { ...compare(`${four}&`), range_end: prefixEnd(ofBoth) }],
        success: [this.#put(subnetKey(subnets), text, leaseId)],
      },
      false,
      signal,
    );
    return isDone;
  }

  /** False where somebody has changed it since it was read. */
  async update(
    { name, modRevision }: HeldLease,
    text: string,
    leaseId: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const key = encodeText(leaseLayout(this.#network).prefix + name);
    const { isDone } = await this.#transact(
      {
        compare: [{ key, target: 'MOD', result: 'EQUAL', mod_revision: modRevision }],
        success: [this.#put(name, text, leaseId)],
      },
      false,
      signal,
    );
    return isDone;
  }

  #put(name: string, text: string, leaseId: string): object {
    const key = encodeText(leaseLayout(this.#network).prefix + name);
    return { request_put: { key, value: encodeText(text), lease: leaseId } };
  }

  async #transact(body: Readonly<Record<string, unknown>>, isRead: boolean, signal: AbortSignal) {
    const path = '/v3/kv/txn';
    const { succeeded, responses } = await this.#gateway.ask({ path, body, isRead, signal });
    return { isDone: succeeded === true, responses: Array.isArray(responses) ? responses : [] };
  }
}

function pairsOf(range: unknown): readonly KeyValue[] {
  const { kvs } = asRecord(range);
  return (Array.isArray(kvs) ? kvs : []).map(parsePair);
}

/** Undefined for a key that is no lease. A value that cannot be read still has its subnet. */
function heldLease(pair: KeyValue, network: string): HeldLease | undefined {
  const layout = leaseLayout(network);
  const place = layout.placeOf(pair.key);
  if (place === undefined) return undefined;
  const { createRevision, modRevision, leaseId, value: text } = pair;
  const held = { name: place.name, text, createRevision, modRevision, leaseId };
  try {
    const { value } = subnetLeases.decode(layout.valueOf(new Entry(place, pair)), 'strict');
    return { ...held, value };
  } catch {
    return { ...held, value: undefined };
  }
}
