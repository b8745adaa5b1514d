import {
  decodePortVlans,
  encodePortVlanFilter,
  encodePortVlans,
} from '../../netlink/rtnetlink/bridge-vlan.ts';
import { RTM_DELLINK, RTM_GETLINK, RTM_SETLINK } from '../../netlink/rtnetlink/link.ts';
import type { PortVlan, PortVlanOptions, PortVlanRange } from '../types.ts';
import type { Requests } from './named-links.ts';

/** The kernel lists all ports or none, so the cost grows with the bridge. */
export function portVlans(socket: Requests, index: number): readonly PortVlan[] {
  return socket
    .dump(RTM_GETLINK, encodePortVlanFilter(), 'list port VLANs')
    .map((reply) => decodePortVlans(reply.payload))
    .filter(({ link }) => link === index)
    .flatMap(({ vlans }) => vlans);
}

/** Adds or deletes all of `vlans` with one request. */
export function changePortVlans(
  socket: Requests,
  change: 'add' | 'delete',
  port: PortVlanOptions & { readonly index: number; readonly vlans: readonly PortVlanRange[] },
): void {
  if (port.vlans.length === 0) return;
  const type = change === 'add' ? RTM_SETLINK : RTM_DELLINK;
  const payload = encodePortVlans(port.index, port.vlans, port);
  socket.request(type, 0, payload, `${change} VLANs of link ${port.index}`);
}
