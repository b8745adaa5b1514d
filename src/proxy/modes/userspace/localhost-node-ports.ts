import type { IP, IPFamily } from '../../../net/ip.ts';
import type { CommitListener } from '../../commit-listener.ts';
import type { ResolvedPort } from '../../state.ts';
import type { Forwarder } from './forwarder.ts';

/**
 * NodePorts on the node's loopback addresses, beside rules of the kernel that cannot serve them: an
 * address of 127.0.0.0/8 as source must not leave the node, and IPv6 has no route_localnet at all.
 * Clients there are this node's processes.
 */
export class LocalhostNodePorts implements CommitListener {
  readonly #forwarders: ReadonlyMap<IPFamily, Forwarder>;
  /** Told since the last commit. */
  readonly #told = new Map<IPFamily, Map<string, readonly ResolvedPort[]>>();
  #last: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Each listens at its address of loopback. */
  constructor(forwarders: ReadonlyMap<IPFamily, { forwarder: Forwarder; address: IP }>) {
    this.#forwarders = new Map(
      Array.from(forwarders, ([family, { forwarder, address }]) => {
        forwarder.follow({
          ...{ localDetector: undefined, masqueradesAll: false, serviceCIDRs: [] },
          ...{ nodePortIPs: [address], localAddresses: [address] },
        });
        return [family, forwarder];
      }),
    );
  }

  programming(family: IPFamily, service: string, ports: readonly ResolvedPort[]): void {
    if (!this.#forwarders.has(family)) return;
    const told = this.#told.get(family) ?? new Map<string, readonly ResolvedPort[]>();
    this.#told.set(family, told);
    told.set(
      service,
      ports.filter(({ port }) => port.nodePort !== 0),
    );
  }

  committed(family: IPFamily, { isFull }: { readonly isFull: boolean }): void {
    const forwarder = this.#forwarders.get(family);
    if (forwarder === undefined) return;
    const told = this.#told.get(family) ?? new Map<string, readonly ResolvedPort[]>();
    this.#told.delete(family);
    forwarder.update(told);
    if (isFull) forwarder.retain(new Set(told.keys()));
    this.#last = this.#last.then(async () => {
      if (!this.#isClosed) await forwarder.open();
      forwarder.closeUnwanted();
    });
  }

  /** Stops listening, once what is being opened is open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    for (const forwarder of this.#forwarders.values()) forwarder.close();
  }
}
