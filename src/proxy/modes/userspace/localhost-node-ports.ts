import { type IP, type IPFamily, parseIP } from '../../../net/ip.ts';
import type { CommitListener } from '../../commit-listener.ts';
import { acceptsOnLoopback } from '../../node-addresses.ts';
import type { ResolvedPort } from '../../state.ts';
import type { ModeNode } from '../mode.ts';
import type { Forwarder } from './forwarder.ts';

const LOOPBACK: Readonly<Record<IPFamily, IP>> = { 4: parseIP('127.0.0.1'), 6: parseIP('::1') };

/**
 * NodePorts on 127.0.0.1 and ::1 for a mode whose rules do not serve them, as far as localhostNodePorts
 * and nodePortAddresses ask for it.
 */
export function serveLocalhostNodePorts(node: ModeNode): readonly CommitListener[] {
  const { localhostNodePorts, nodePortAddresses } = node.settings;
  const families = node.families.filter((family) => acceptsOnLoopback(nodePortAddresses, family));
  if (!localhostNodePorts || families.length === 0) return [];
  const listener = new LocalhostNodePorts(
    node.openForwarders({ families, isServed: ({ kind }) => kind === 'nodePort' }),
  );
  node.onShutdown('localhost node ports', () => listener.close());
  return [listener];
}

/**
 * NodePorts on the node's loopback addresses, beside rules of the kernel that cannot serve them: an
 * address of 127.0.0.0/8 as source must not leave the node, and IPv6 has no route_localnet at all.
 * Clients there are this node's processes.
 */
class LocalhostNodePorts implements CommitListener {
  readonly #forwarders: ReadonlyMap<IPFamily, Forwarder>;
  /** Told since the last commit. */
  readonly #told = new Map<IPFamily, Map<string, readonly ResolvedPort[]>>();
  #last: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(forwarders: ReadonlyMap<IPFamily, Forwarder>) {
    this.#forwarders = forwarders;
    for (const [family, forwarder] of forwarders) {
      const addresses = [LOOPBACK[family]];
      forwarder.follow({
        ...{ localDetector: undefined, masqueradesAll: false, serviceCIDRs: [] },
        ...{ nodePortIPs: addresses, localAddresses: addresses },
      });
    }
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
