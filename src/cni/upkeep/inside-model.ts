/** What is inside a pod, compared with its record: a decision on values. */
import type { Link, LinkAddress, Route } from '../../kernel/types.ts';
import { addressOf, cidrFamily, type IPWithPrefix } from '../../net/cidr.ts';
import { ipFamily } from '../../net/ip.ts';
import type { RecordedInside, RecordedRoute } from '../attachment-records.ts';
import type { PortSenders } from '../node-plan.ts';

/** What a pod has of an interface; no link: it is gone, or has another name. */
export interface Inside {
  readonly link: Pick<Link, 'index' | 'mac' | 'mtu' | 'isUp'> | undefined;
  readonly addresses: readonly Pick<LinkAddress, 'address' | 'scope'>[];
  /** Of table main, of all links. */
  readonly routes: readonly Route[];
}

/** `restore` can be put right without harm to what the pod has meanwhile. */
export interface InsideDifference {
  /** In words: `10.1.0.2/24 is missing`. */
  readonly what: string;
  readonly restore?: { readonly address: IPWithPrefix } | { readonly route: RecordedRoute };
}

/**
 * What differs, addresses before the routes that need them. A pod may have more than its record says, and a
 * smaller MTU, which a later member of the chain sets; `senders` are those that its port lets in. Pure.
 */
export function insideDifferences(
  { link, addresses, routes }: Inside,
  wanted: RecordedInside,
  senders?: PortSenders,
): readonly InsideDifference[] {
  if (link === undefined) return [{ what: 'the interface is gone, or has another name' }];
  // What the kernel takes away with a link that is down comes back once somebody raises it.
  if (!link.isUp) return [{ what: 'the link is down' }];
  return [
    ...wanted.addresses.flatMap((address) => lackOfAddress(address, addresses)),
    ...wanted.routes.flatMap((route) => lackOfRoute(route, link.index, routes)),
    ...(wanted.mtu !== undefined && link.mtu > wanted.mtu
      ? [{ what: `the MTU is ${link.mtu}, more than ${wanted.mtu}` }]
      : []),
    ...(link.mac !== undefined && senders?.macs.includes(link.mac) === false
      ? [{ what: `it sends as ${link.mac}, and only ${senders.macs.join(', ')} may enter` }]
      : []),
  ];
}

function lackOfAddress(
  wanted: IPWithPrefix,
  addresses: Inside['addresses'],
): readonly InsideDifference[] {
  if (addresses.some(({ address }) => address === addressOf(wanted))) return [];
  const family = cidrFamily(wanted);
  const others = addresses.filter(
    ({ address, scope }) => ipFamily(address) === family && scope === 'global',
  );
  if (others.length === 0) return [{ what: `${wanted} is missing`, restore: { address: wanted } }];
  const instead = others.map(({ address }) => address).slice(0, 3);
  return [{ what: `${wanted} is missing, there is ${instead.join(', ')}` }];
}

function lackOfRoute(
  wanted: RecordedRoute,
  index: number,
  routes: readonly Route[],
): readonly InsideDifference[] {
  const same = routes.filter(({ destination }) => destination === wanted.destination);
  const isThere = same.some(({ link, gateway }) => link === index && gateway === wanted.gateway);
  if (isThere) return [];
  const way = wanted.gateway === undefined ? '' : ` via ${wanted.gateway}`;
  const what = `the route to ${wanted.destination}${way} is missing`;
  if (same.length === 0) return [{ what, restore: { route: wanted } }];
  return [{ what: `${what}, another one leads there` }];
}
