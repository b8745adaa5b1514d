import type { RouteLookup, Rtnl } from '../../../kernel/types.ts';
import { addressBits, type IP, type IPFamily, ipFamily } from '../../../net/ip.ts';
import { IoError } from '../../../util/errors.ts';
import { Turn } from '../../../util/turns.ts';
import { untilRouted } from './until-routed.ts';

/**
 * Addresses with this metric are ours ("weft" in ASCII): every kernel that runs Node keeps it, while
 * IFA_PROTO came with Linux 5.18. Routes of whole addresses on `lo` make no use of it.
 */
const OUR_METRIC = 0x77656674;

/** Where the IPVS mode, and kube-proxy's, keep the addresses of Services: they may go at any time. */
const IPVS_LINK = 'kube-ipvs0';

/** The requests to the kernel that are needed. */
export type AddressKernel = Pick<Rtnl, 'link' | 'addresses' | 'addAddress' | 'deleteAddress'> &
  Pick<RouteLookup, 'localRoutes'>;

type KernelAddress = ReturnType<Rtnl['addresses']>[number];

/** Whether an address of a link is one that this mode has added. */
export function isOurs({ address, prefixLength, metric }: KernelAddress): boolean {
  return metric === OUR_METRIC && prefixLength === addressBits(ipFamily(address));
}

/**
 * The addresses of Services on `lo`, of one family. They are of scope host (IPv4) or deprecated
 * (IPv6): the kernel takes none of them as the source of connections to elsewhere.
 */
export class VirtualAddresses {
  readonly #kernel: AddressKernel;
  readonly #family: IPFamily;
  readonly #loopback: number;
  readonly #ours = new Set<IP>();
  readonly #others = new Set<IP>();
  #isKnown = false;

  /** Throws IoError where there is no `lo`. */
  constructor(kernel: AddressKernel, family: IPFamily) {
    this.#kernel = kernel;
    this.#family = family;
    const loopback = kernel.link('lo');
    if (loopback === undefined) throw new IoError('add addresses of Services: there is no link lo');
    this.#loopback = loopback.index;
  }

  /** Something has changed: the next question reads the kernel again. */
  invalidate(): void {
    this.#isKnown = false;
  }

  has(address: IP): boolean {
    return this.#ours.has(address);
  }

  /** Everything of the family that is local to this node. */
  all(): readonly IP[] {
    this.#read();
    return [...this.#others, ...this.#ours];
  }

  /** Addresses of the node itself that sockets can be bound to. */
  ofNode(): readonly IP[] {
    this.#read();
    return [...this.#others];
  }

  /**
   * Adds addresses that the node does not have yet, and waits until the kernel accepts packets for
   * them.
   */
  async ensure(wanted: Iterable<IP>): Promise<void> {
    this.#read();
    const added: IP[] = [];
    const turn = new Turn();
    for (const address of wanted) {
      if (this.#ours.has(address) || this.#others.has(address)) continue;
      this.#kernel.addAddress(this.#loopback, request(address));
      this.#ours.add(address);
      added.push(address);
      if (turn.isOver) await turn.next();
    }
    await untilRouted(this.#kernel, added);
  }

  /** Removes our addresses except these. */
  async retain(used: ReadonlySet<IP>): Promise<void> {
    this.#read();
    const turn = new Turn();
    for (const address of this.#ours) {
      // If somebody else has added the address meanwhile, the node keeps it without ours.
      if (used.has(address) && !this.#others.has(address)) continue;
      this.#kernel.deleteAddress(this.#loopback, request(address));
      this.#ours.delete(address);
      if (turn.isOver) await turn.next();
    }
  }

  #read(): void {
    if (this.#isKnown) return;
    this.#ours.clear();
    this.#others.clear();
    const ipvsLink = this.#kernel.link(IPVS_LINK)?.index;
    for (const found of this.#kernel.addresses()) {
      if (ipFamily(found.address) !== this.#family || found.link === ipvsLink) continue;
      if (isOurs(found) && found.link === this.#loopback) this.#ours.add(found.address);
      else if (isUsable(found)) this.#others.add(found.address);
    }
    this.#isKnown = true;
  }
}

/** Link-local addresses mean nothing without their link; others are not usable yet. */
function isUsable({ scope, isTentative, isDuplicate }: KernelAddress): boolean {
  return scope !== 'link' && isTentative !== true && isDuplicate !== true;
}

function request(address: IP) {
  const family = ipFamily(address);
  const common = { address, prefixLength: addressBits(family), metric: OUR_METRIC };
  return family === 4
    ? ({ ...common, scope: 'host' } as const)
    : ({ ...common, isDeprecated: true } as const);
}

/** Removes ours of a family from a node where nobody uses them; true when there were some. */
export async function removeVirtualAddresses(
  kernel: AddressKernel,
  family: IPFamily,
): Promise<boolean> {
  const addresses = new VirtualAddresses(kernel, family);
  const hadSome = addresses.all().some((address) => addresses.has(address));
  await addresses.retain(new Set());
  return hadSome;
}
