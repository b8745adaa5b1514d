import { isDeepStrictEqual } from 'node:util';
import { type IP, isLoopback } from '../../../net/ip.ts';
import { Turn } from '../../../util/turns.ts';
import {
  NO_PLACES,
  type ServiceSession,
  type SessionAudit,
  type SessionSettings,
} from '../../session.ts';
import type { ResolvedPort } from '../../state.ts';
import type { Forwarder, ForwarderNode } from './forwarder.ts';
import type { Portals } from './portals.ts';
import type { VirtualAddresses } from './virtual-addresses.ts';

export interface ForwardingOptions {
  readonly forwarder: Forwarder;
  readonly addresses: VirtualAddresses;
  readonly portals: Portals;
  /** By which of the node's interfaces packets from an address come in. */
  readonly interfaceOf: (client: IP) => string | undefined;
}

/**
 * Keeps a forwarder and the addresses of Services as the Services want them. A new session can take
 * over: listeners and connections belong to the forwarder.
 */
export class ForwardingSession implements ServiceSession {
  readonly #options: ForwardingOptions;
  #isFirst = true;
  /** Listeners are its own; there is nothing of others to look at. */
  readonly audit: SessionAudit = {
    ...NO_PLACES,
    isAsProgrammed: (service, ports) =>
      isDeepStrictEqual(this.#options.forwarder.portsOf(service), ports),
  };

  constructor(options: ForwardingOptions) {
    this.#options = options;
    options.addresses.invalidate();
    options.portals.invalidate();
  }

  /** An address is added before anybody listens on it, and removed when nobody uses it any more. */
  async program(
    settings: SessionSettings,
    groups: Iterable<readonly string[]>,
    resolve: (service: string) => readonly ResolvedPort[],
  ): Promise<void> {
    const { forwarder, addresses, portals } = this.#options;
    const told = new Set<string>();
    const turn = new Turn();
    for (const group of groups) {
      forwarder.update(new Map(group.map((service) => [service, resolve(service)])));
      for (const service of group) told.add(service);
      if (turn.isOver) await turn.next();
    }
    if (this.#isFirst) forwarder.retain(told);
    await addresses.ensure(forwarder.virtualAddresses());
    forwarder.follow(nodeOf(settings, this.#options));
    await forwarder.open();
    portals.set(forwarder.portals());
    forwarder.closeUnwanted();
    portals.set(forwarder.portals());
    await addresses.retain(new Set(forwarder.virtualAddresses()));
    this.#isFirst = false;
  }

  removeIdle(): void {}

  close(): void {}
}

/** A NodePort needs an address of the node's own; Services' addresses are not meant by `all`. */
function nodeOf(
  { layout, nodePortIPs }: SessionSettings,
  { addresses, interfaceOf }: ForwardingOptions,
): ForwarderNode {
  const { localDetector, masqueradesAll, serviceCIDRs } = layout;
  const own = addresses.ofNode();
  const isListed = (ip: IP) =>
    layout.acceptsOnAllAddresses ? !isLoopback(ip) : nodePortIPs.includes(ip);
  return {
    ...{ localDetector, masqueradesAll, serviceCIDRs },
    nodePortIPs: own.filter(isListed),
    localAddresses: addresses.all(),
    ...(localDetector === undefined || localDetector.kind === 'cidrs' ? {} : { interfaceOf }),
  };
}
