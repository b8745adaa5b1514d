/** The way behind the rules, in words. */
import { formatHostPort } from '../../../net/host-port.ts';
import { wrapped } from '../../../util/text-layout.ts';
import type { Cause } from './cause.ts';
import type { Leg, Way } from './way.ts';

/** Places with the same way are told as one. */
const MOST_WAYS = 4;

/** Nothing where nothing is sent anywhere. */
export function wayLines(ways: readonly Way[]): readonly string[] {
  const groups = [...Map.groupBy(ways, wayKey).values()];
  const lines = groups.slice(0, MOST_WAYS).flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const places = group.slice(0, 3).map(({ place: { ip, port } }) => formatHostPort(ip, port));
    const more = group.length > 3 ? ` and ${group.length - 3} more` : '';
    return [
      ...wrapped(`Way to ${places.join(', ')}${more}:`, { first: '', next: '    ' }),
      ...legLines('request', first.request),
      ...legLines('reply', first.reply),
    ];
  });
  const more = groups.length - MOST_WAYS;
  return more > 0 ? [...lines, `    and ${more} more (--json tells all)`] : lines;
}

/** Each cause once, those that stop packets first. */
export function causeLines(causes: readonly Cause[], indent = ''): readonly string[] {
  const told = new Map(causes.map((cause) => [cause.seen, cause]));
  const isStop = ({ effect }: Cause) => effect === 'drops' || effect === 'refuses';
  const inOrder = [...told.values()].toSorted((a, b) => Number(isStop(b)) - Number(isStop(a)));
  return inOrder.flatMap(({ effect, direction, seen, cure }) => [
    ...wrapped(`${TITLES[effect]}${direction === 'reply' ? ' (reply)' : ''}: ${seen}.`, {
      first: indent,
      next: `${indent}    `,
    }),
    ...wrapped(cure, { first: `${indent}    Cure: `, next: `${indent}          ` }),
  ]);
}

const TITLES = {
  ...{ drops: 'Dropped', refuses: 'Refused', mayDrop: 'Doubtful', none: 'Note' },
} as const;

function legLines(name: string, leg: Leg): readonly string[] {
  return wrapped(`${name.padEnd(8)} ${legText(leg)}`, { first: '    ', next: '             ' });
}

function legText({ inLink, outcome, outLink, gateway, peer, mtu, destination }: Leg): string {
  const from = inLink === undefined ? 'from this node' : `in by ${inLink}`;
  switch (outcome) {
    case 'delivered':
      return `${from}, to this node itself`;
    case 'dropped':
      return `${from}, then dropped by the routing`;
    case 'bridged':
      return `from port to port of bridge ${inLink ?? ''}`;
    case 'unknown':
      return `${from}, nothing follows that could be told`;
    case 'sent': {
      const via = gateway === undefined || gateway === destination ? '' : ` via ${gateway}`;
      const whose = peer === undefined ? '' : `, to node ${peer}`;
      const size = mtu === undefined ? '' : `, up to ${mtu} bytes`;
      return `${from}, out by ${outLink ?? '?'}${via}${whose}${size}`;
    }
  }
}

function wayKey({ request, reply }: Way): string {
  const own = { source: '', destination: '' };
  return JSON.stringify([
    { ...request, ...own, gateway: gatewayKey(request) },
    { ...reply, ...own, gateway: gatewayKey(reply) },
  ]);
}

/** A neighbour on the link is its own gateway. */
function gatewayKey({ gateway, destination }: Leg): string {
  return gateway === undefined || gateway === destination ? '' : gateway;
}
