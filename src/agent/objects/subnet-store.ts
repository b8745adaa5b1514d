/** Leases and configuration of subnets in etcd: one request each, nothing is decided here. */
import type { HeldLease } from '../../fabric/subnets/choose.ts';
import { leaseLayout, type Subnets, subnetKey, subnetLeases } from '../../fabric/subnets/lease.ts';
import { Entry, type KeyValue } from '../../kube/etcd/entries.ts';
import {
  type Asking,
  grantLease,
  isUnchanged,
  keepLeaseAlive,
  pairsOf,
  putKey,
  readKey,
  readPrefix,
  revokeLease,
  transact,
} from '../../kube/etcd/transact.ts';
import { encodeText, prefixEnd } from '../../kube/etcd/wire.ts';
import { DecodeError } from '../../util/errors.ts';

/** flannel's: a node that is away for longer loses its subnet. */
export const SUBNET_TTL_SECONDS = 86_400;

export interface StoredNetwork {
  /** Undefined: nobody has put one. */
  readonly configText: string | undefined;
  readonly leases: readonly HeldLease[];
}

export class SubnetStore {
  readonly #gateway: Asking;
  readonly #network: string;

  /** `network`: flannel's prefix, `/coreos.com/network`. */
  constructor(gateway: Asking, network: string) {
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
    const success = [readKey(this.configKey), readPrefix(prefix)];
    const { responses } = await transact(this.#gateway, { success }, { isRead: true, signal });
    const [config, leases] = responses.map(pairsOf);
    if (config === undefined || leases === undefined) throw new DecodeError('etcd: no answer');
    return {
      configText: config[0]?.value,
      leases: leases.flatMap((pair) => heldLease(pair, this.#network) ?? []),
    };
  }

  /** A lease of etcd's, for a day. */
  async grant(signal: AbortSignal): Promise<string> {
    return grantLease(this.#gateway, SUBNET_TTL_SECONDS, { signal });
  }

  /** For another day; false where it has ended. */
  async keepAlive(leaseId: string, signal: AbortSignal): Promise<boolean> {
    return keepLeaseAlive(this.#gateway, leaseId, { signal });
  }

  async revoke(leaseId: string, signal: AbortSignal): Promise<void> {
    await revokeLease(this.#gateway, leaseId, { signal });
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
    return this.#change(
      // A range that is empty counts as one key that was never made.
      [compare(four), { ...compare(`${four}&`), range_end: prefixEnd(ofBoth) }],
      putKey(prefix + subnetKey(subnets), text, leaseId),
      signal,
    );
  }

  /** False where somebody has changed it since it was read. */
  async update(
    { name, modRevision }: HeldLease,
    text: string,
    leaseId: string,
    signal: AbortSignal,
  ): Promise<boolean> {
    const key = leaseLayout(this.#network).prefix + name;
    return this.#change([isUnchanged(key, modRevision)], putKey(key, text, leaseId), signal);
  }

  async #change(compare: readonly object[], change: object, signal: AbortSignal): Promise<boolean> {
    const asked = { isRead: false, signal };
    return (await transact(this.#gateway, { compare, success: [change] }, asked)).isDone;
  }
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
