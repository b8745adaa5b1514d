import type { Neighbour, NodeRtnl, Route } from '../kernel/types.ts';
import { type Entries, type Entry, entriesOf } from './entries.ts';
import { FABRIC_PROTOCOL, TUNNEL_NAME } from './names.ts';
import type { UnderlayFacts } from './underlay.ts';

export type StateKernel = Pick<
  NodeRtnl,
  'links' | 'addresses' | 'routes' | 'neighbours' | 'forwardingEntries'
>;

/** What the kernel holds, read at one moment. */
export interface KernelState {
  readonly underlay: UnderlayFacts;
  /** What is the fabric's: routes by their protocol, and everything on its own device. */
  readonly entries: Entries;
}

/** Reads all of it: a few messages for each thousand of entries. */
export function readKernelState(kernel: StateKernel): KernelState {
  const links = kernel.links();
  const routes = [...kernel.routes(4), ...kernel.routes(6)];
  const tunnel = links.find(({ name, kind }) => name === TUNNEL_NAME && kind === 'vxlan');
  return {
    underlay: {
      links,
      addresses: kernel.addresses(),
      routes: routes.filter((route) => !isOurs(route)),
    },
    entries: entriesOf([
      ...routes.filter(isOurs).map((entry): Entry => ({ kind: 'route', entry })),
      ...(tunnel === undefined ? [] : tunnelEntries(kernel, tunnel.index)),
    ]),
  };
}

/** Routes of table main that carry our protocol. */
export function isOurs({ protocol }: Route): boolean {
  return protocol === FABRIC_PROTOCOL;
}

/** Neighbours that the kernel learnt are not entries of anybody. */
function tunnelEntries(kernel: StateKernel, link: number): readonly Entry[] {
  const isPermanent = (neighbour: Neighbour) => neighbour.isPermanent;
  return [
    ...kernel
      .neighbours(link)
      .filter(isPermanent)
      .map((entry): Entry => ({ kind: 'neighbour', entry })),
    ...kernel.forwardingEntries(link).map((entry): Entry => ({ kind: 'forwarding', entry })),
  ];
}
