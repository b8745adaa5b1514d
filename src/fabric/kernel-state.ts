import type { NodeRtnl, Route } from '../kernel/types.ts';
import type { Steps } from '../util/turns.ts';
import { type Entries, type Entry, entrySteps } from './entries.ts';
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

/** Reads all of it, a kind a step: a few messages for each thousand of entries. */
export function* kernelStateSteps(kernel: StateKernel): Steps<KernelState> {
  const links = kernel.links();
  yield;
  const routes4 = kernel.routes(4);
  yield;
  const routes = [...routes4, ...kernel.routes(6)];
  yield;
  const tunnel = links.find(({ name, kind }) => name === TUNNEL_NAME && kind === 'vxlan');
  const onTunnel = tunnel === undefined ? [] : yield* tunnelSteps(kernel, tunnel.index);
  const entries = yield* entrySteps([
    ...routes.filter(isOurs).map((entry): Entry => ({ kind: 'route', entry })),
    ...onTunnel,
  ]);
  const foreign = routes.filter((route) => !isOurs(route));
  return { underlay: { links, addresses: kernel.addresses(), routes: foreign }, entries };
}

/** Routes of table main that carry our protocol. */
export function isOurs({ protocol }: Route): boolean {
  return protocol === FABRIC_PROTOCOL;
}

/** Neighbours that the kernel learnt are not entries of anybody. */
function* tunnelSteps(kernel: StateKernel, link: number): Steps<readonly Entry[]> {
  const neighbours = kernel.neighbours(link).filter(({ isPermanent }) => isPermanent);
  yield;
  const forwarding = kernel.forwardingEntries(link);
  yield;
  return [
    ...neighbours.map((entry): Entry => ({ kind: 'neighbour', entry })),
    ...forwarding.map((entry): Entry => ({ kind: 'forwarding', entry })),
  ];
}
