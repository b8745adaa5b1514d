import type { IP } from '../../net/ip.ts';
import type { Agreement, ExclusiveLease, LeaseOptions } from '../agreement.ts';
import type { Service } from '../types.ts';
import { ApiError } from './api-error.ts';
import type { ApiClient } from './client.ts';

type Client = Pick<ApiClient, 'read' | 'patch' | 'create'>;

/** By Leases (coordination.k8s.io/v1) and the status of Services. */
export function apiAgreement(client: Client): Agreement {
  return {
    lease: (options) => new ApiLease(client, options),
    sight: { kind: 'told' },
    writeAddresses: (service, addresses, signal) => writeStatus(client, service, addresses, signal),
  };
}

async function writeStatus(
  client: Client,
  { metadata }: Service,
  addresses: readonly IP[],
  signal: AbortSignal,
): Promise<void> {
  const { resourceVersion } = metadata;
  const [namespace, name] = [metadata.namespace, metadata.name].map(encodeURIComponent);
  const ingress = addresses.map((ip) => ({ ip, ipMode: 'VIP' }));
  const change = { metadata: { resourceVersion }, status: { loadBalancer: { ingress } } };
  await client.patch(`/api/v1/namespaces/${namespace}/services/${name}/status`, change, signal);
}

interface Lease {
  readonly resourceVersion: string;
  readonly holder: string;
  readonly transitions: number;
}

/**
 * A Lease as client-go's leader election has it. Every write names the version it has read, so of two that
 * want it one fails.
 */
export class ApiLease implements ExclusiveLease {
  readonly #client: Client;
  readonly #options: LeaseOptions;
  readonly #path: string;
  /** The version that was seen last, and since when: clocks of nodes differ, so only change counts. */
  #seen: { readonly version: string; readonly sinceMs: number } | undefined;

  constructor(client: Client, options: LeaseOptions) {
    this.#client = client;
    this.#options = options;
    const namespace = encodeURIComponent(options.namespace);
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  }

  async take(signal: AbortSignal): Promise<boolean> {
    const { clock, identity, leaseMs } = this.#options;
    const lease = await this.#read(signal);
    if (lease === undefined) {
      await this.#client.create(this.#path, this.#object(undefined), signal);
      return true;
    }
    if (lease.holder !== identity && lease.holder !== '') {
      if (this.#seen?.version !== lease.resourceVersion) {
        this.#seen = { version: lease.resourceVersion, sinceMs: clock.elapsed() };
      }
      if (clock.elapsed() - this.#seen.sinceMs < leaseMs) return false;
    }
    await this.#client.patch(this.#lease, this.#object(lease), signal);
    return true;
  }

  get #lease(): string {
    return `${this.#path}/${encodeURIComponent(this.#options.name)}`;
  }

  async #read(signal: AbortSignal): Promise<Lease | undefined> {
    try {
      return leaseOf(await this.#client.read(this.#lease, signal));
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.status === 404) return undefined;
      throw thrown;
    }
  }

  #object(former: Lease | undefined): object {
    const { clock, identity, labels, name, namespace, leaseMs } = this.#options;
    // metav1.MicroTime.
    const now = new Date(clock.now()).toISOString().replace('Z', '000Z');
    const isNew = former?.holder !== identity;
    const version = former && { resourceVersion: former.resourceVersion };
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace, ...(labels && { labels }), ...version },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.round(leaseMs / 1000),
        renewTime: now,
        ...(isNew ? { acquireTime: now, leaseTransitions: (former?.transitions ?? -1) + 1 } : {}),
      },
    };
  }
}

/** Fields that are not there are as those of a lease that nobody holds. */
function leaseOf(object: unknown): Lease {
  // Of the server's answer only these fields are looked at, and each may be missing.
  const { metadata, spec } = object as {
    readonly metadata?: { readonly resourceVersion?: string };
    readonly spec?: { readonly holderIdentity?: string; readonly leaseTransitions?: number };
  };
  return {
    resourceVersion: metadata?.resourceVersion ?? '',
    holder: spec?.holderIdentity ?? '',
    transitions: spec?.leaseTransitions ?? 0,
  };
}
