import { objectKey } from '../kube/resources.ts';
import type { Service } from '../kube/types.ts';
import type { IPFamily } from '../net/ip.ts';
import type { AuditedPart } from '../util/audit.ts';
import { Complaints } from '../util/complaints.ts';
import { type ClusterChange, familyChanges } from './cluster-change.ts';
import { Proxier, type ProxierOptions, type ProxierSettings } from './proxier.ts';
import type { ProxierHealth } from './proxier-health.ts';
import { serviceProblems } from './service.ts';
import type { ProxySnapshot } from './snapshot.ts';

export interface ServiceProxyOptions extends ProxierOptions {
  readonly families: readonly IPFamily[];
}

/**
 * The Service proxy: one proxier per address family, each with its own table and its own pace. It
 * sees no more of the cluster than the events it is given.
 */
export class ServiceProxy {
  readonly #proxiers: readonly Proxier[];
  #options: Omit<ServiceProxyOptions, 'families'>;
  readonly #complaints = new Complaints();

  constructor({ families, ...options }: ServiceProxyOptions) {
    this.#options = options;
    this.#proxiers = families.map((family) => new Proxier(family, options));
  }

  /** Objects of other nodes are passed over. */
  apply(change: ClusterChange): void {
    if (change.kind === 'service') this.#complain(change.now ?? change.was, change.now);
    for (const each of familyChanges(change, this.#options.nodeName)) {
      this.#proxiers.find(({ family }) => family === each.family)?.apply(each);
    }
  }

  /** To be called once after the first complete reading of Services and EndpointSlices. */
  setSynced(): void {
    const { nodePortAddresses, hasNodeObjects, log } = this.#options;
    if (nodePortAddresses.kind === 'primary' && !hasNodeObjects()) {
      log.info('no Node objects, NodePorts answer on all addresses');
    }
    for (const proxier of this.#proxiers) proxier.setSynced();
  }

  /** The node has other addresses than before; `localAddresses` gives them. */
  onLocalAddressesChange(): void {
    for (const proxier of this.#proxiers) proxier.onLocalAddressesChange();
  }

  /** Works by other settings from now on; nothing that works is interrupted. */
  reconfigure(settings: ProxierSettings): void {
    this.#options = { ...this.#options, ...settings };
    for (const proxier of this.#proxiers) proxier.reconfigure(settings);
  }

  /** Has the next sync of a family (default: all) read its table back and repair it. */
  resync(family?: IPFamily): void {
    for (const proxier of this.#proxiers) {
      if (family === undefined || proxier.family === family) proxier.resync();
    }
  }

  /** What is in the kernel for a family, in parts to compare with what ought to be there. */
  auditedParts(family: IPFamily): readonly AuditedPart[] {
    return this.#proxiers.find((each) => each.family === family)?.auditedParts() ?? [];
  }

  /** Brings all tables up to date without waiting for the runners. */
  async sync(): Promise<void> {
    for (const proxier of this.#proxiers) await proxier.sync();
  }

  /** What is known of each family now, for questions. */
  snapshots(): ReadonlyMap<IPFamily, ProxySnapshot> {
    return new Map(this.#proxiers.map((proxier) => [proxier.family, proxier.snapshot()]));
  }

  get health(): ReadonlyMap<IPFamily, ProxierHealth> {
    return new Map(this.#proxiers.map((proxier) => [proxier.family, proxier.health]));
  }

  /** Waits for syncs in progress; what is in the kernel stays and goes on working. */
  async stop(): Promise<void> {
    await Promise.all(this.#proxiers.map((proxier) => proxier.stop()));
  }

  #complain(about: Service, now: Service | undefined): void {
    const service = objectKey(about);
    const problems = this.#complaints.news(service, now === undefined ? [] : serviceProblems(now));
    if (problems.length === 0) return;
    this.#options.log.warn({ service, problems }, 'parts of service passed over');
  }
}
