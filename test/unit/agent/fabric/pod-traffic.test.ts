import { expect, test } from 'vitest';
import { podTraffic } from '../../../../src/agent/fabric/pod-traffic.ts';
import type { Backend, Peer } from '../../../../src/fabric/plan.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { type IP, parseIP } from '../../../../src/net/ip.ts';

const LINKS = [
  { index: 2, name: 'eth0' },
  { index: 3, name: 'eth1' },
];
const NEAR = parseIP('192.0.2.2');
const FAR = parseIP('198.51.100.3');
const underlay = {
  own: {},
  networks: [],
  hopTo: (address: IP) => ({ link: address === NEAR ? 2 : 3, isDirect: address === NEAR }),
};

function peer(address: IP, ...podCIDRs: readonly string[]): Peer {
  // Of a node nothing but its addresses is asked for.
  return { node: { addresses: { 4: address } }, podCIDRs: podCIDRs.map(parseCidr) } as never;
}

test.each<{ backend: Backend; peers: readonly Peer[]; want: readonly string[] }>([
  { backend: 'auto', peers: [peer(NEAR, '10.244.2.0/24')], want: ['eth0'] },
  { backend: 'auto', peers: [peer(FAR, '10.244.3.0/24')], want: ['weft-vxlan'] },
  {
    backend: 'auto',
    peers: [peer(NEAR, '10.244.2.0/24'), peer(FAR, '10.244.3.0/24')],
    want: ['eth0', 'weft-vxlan'],
  },
  { backend: 'vxlan', peers: [peer(NEAR, '10.244.2.0/24')], want: ['weft-vxlan'] },
  { backend: 'host-gw', peers: [peer(NEAR, '10.244.2.0/24')], want: ['eth0'] },
  { backend: 'none', peers: [peer(FAR, '10.244.3.0/24')], want: ['eth1'] },
  { backend: 'auto', peers: [peer(NEAR)], want: [] },
])('links towards $peers.length nodes with $backend: $want', ({ backend, peers, want }) => {
  const podCIDRs = [parseCidr('10.244.1.0/24')];
  // Of links nothing but their names is asked for.
  const traffic = podTraffic({ podCIDRs, peers, underlay }, { links: LINKS as never }, backend);
  expect(traffic).toEqual({
    podCIDRs,
    clusterCIDRs: peers.flatMap((each) => each.podCIDRs),
    underlays: want,
  });
});
