/** Nodes to look at: a small one with everything on it, and a large one. */
import { byName } from '../../../src/agent/page/by-name.ts';
import type {
  UiDenial,
  UiEndpoint,
  UiPeer,
  UiPod,
  UiService,
  UiSnapshot,
} from '../../../src/agent/page/snapshot.ts';

export function pod(
  key: string,
  address: string,
  veth = `weft${address.split('.').at(-1)}`,
): UiPod {
  return { key, addresses: [address], veth, bridge: 'cni0' };
}

export function service(
  key: string,
  address: string,
  endpoints: readonly UiEndpoint[],
  more: Partial<UiService> = {},
): UiService {
  return {
    ...{ key, addresses: [address], endpoints },
    ports: [{ name: 'http', protocol: 'tcp', port: 80, nodePort: 0 }],
    serving: endpoints.filter(({ state }) => state === 'serving').length,
    endpointCount: endpoints.length,
    ...more,
  };
}

export const here = (address: string): UiEndpoint => {
  return { address, state: 'serving', isLocal: true, node: 'node-1' };
};
export const there = (address: string, node = 'node-2'): UiEndpoint => {
  return { address, state: 'serving', isLocal: false, node };
};

export function peer(key: string, number: number, more: Partial<UiPeer> = {}): UiPeer {
  const probed = more.path === 'not probed' ? {} : { mtu: 1500, roundTripMs: 0.4 };
  return {
    ...{ key, addresses: [`192.168.0.${number}`], podCIDRs: [`10.244.${number}.0/24`] },
    ...{ way: 'direct', path: 'full', ...probed, problems: [] },
    ...more,
  };
}

export function denial(key: string, from: string, to: string, at: string): UiDenial {
  return {
    ...{ key, at, from, to, protocol: 'TCP', port: 5432, policies: ['NetworkPolicy shop/db'] },
    reason: 'isolated, and no rule allows it',
  };
}

/** One of each kind of thing that somebody may have to find. */
export function smallNode(): UiSnapshot {
  const pods = [
    pod('kube-system/coredns-5d78', '10.244.1.2'),
    pod('monitoring/prometheus-0', '10.244.1.9'),
    pod('shop/cart-7c9f4', '10.244.1.5'),
    pod('shop/db-0', '10.244.1.6'),
    pod('shop/web-6b8d7-4kx2v', '10.244.1.3'),
    pod('shop/web-6b8d7-p9qrm', '10.244.1.4'),
  ];
  const services = [
    service('default/kubernetes', '10.96.0.1', [there('192.168.0.10', 'control-1')], {
      perSecond: 1.4,
    }),
    service('kube-system/kube-dns', '10.96.0.10', [here('10.244.1.2'), there('10.244.2.2')], {
      perSecond: 42,
    }),
    service('monitoring/prometheus', '10.96.31.7', [here('10.244.1.9')], { perSecond: 0 }),
    service('shop/cart', '10.96.12.80', [here('10.244.1.5'), there('10.244.3.8', 'node-3')], {
      perSecond: 8.2,
    }),
    service('shop/db', '10.96.12.90', [here('10.244.1.6')], { perSecond: 3.1 }),
    service('shop/payments', '10.96.12.99', [
      { address: '10.244.2.31', state: 'not ready', isLocal: false, node: 'node-2' },
    ]),
    service(
      'shop/web',
      '10.96.12.70',
      [here('10.244.1.3'), here('10.244.1.4'), there('10.244.2.9')],
      {
        ...{ perSecond: 17, ports: [{ name: 'http', protocol: 'tcp', port: 80, nodePort: 30080 }] },
      },
    ),
  ];
  const peers = [
    peer('control-1', 10, { roundTripMs: 0.3 }),
    peer('node-2', 2),
    peer('node-3', 3, { way: 'vxlan', mtu: 1450, roundTripMs: 1.8 }),
    peer('node-4', 4, { way: 'vxlan', path: 'smaller', mtu: 1400, roundTripMs: 2.1 }),
    peer('node-5', 5, {
      ...{ way: 'unreachable', path: 'not probed', problems: ['no route to 192.168.0.5'] },
    }),
  ];
  return {
    node: {
      ...{ name: 'node-1', version: '0.1.0', startedAt: '2026-11-03T08:00:00Z', isHealthy: false },
      ...{
        components: ['cni', 'proxy', 'fabric', 'policy'],
        proxyMode: 'nftables',
        backend: 'auto',
      },
      ...{ podCIDRs: ['10.244.1.0/24'], mtu: 1450 },
      uplink: { name: 'eth0', addresses: ['192.168.0.1'], mtu: 1500, isUp: true },
      counts: { pods: pods.length, services: services.length, peers: peers.length },
    },
    findings: [
      {
        ...{
          key: 'peer-route',
          level: 'failing',
          seen: 'No route to 10.244.5.0/24, the pods of node-5.',
        },
        why: 'Connections of this node’s pods to pods there end in a timeout.',
        cure: 'ip route get 192.168.0.5 tells which link is missing.',
      },
      {
        ...{
          key: 'path-mtu',
          level: 'warning',
          seen: 'Packets of 1450 bytes do not arrive at node-4, those of 1400 do.',
        },
        ...{ why: '', cure: 'Raise the MTU of the links between, or set fabric.mtu: 1400.' },
      },
      { key: 'ip-forward', level: 'ok', seen: 'net.ipv4.ip_forward is 1', why: '', cure: '' },
    ],
    ...{ pods, services, peers },
    denials: [denial('1', 'shop/cart-7c9f4', 'shop/db-0', '2026-11-03T08:40:00Z')],
  };
}

/** The node before it was as it is: its Services were busier, or less so. */
export function pastOf(snapshot: UiSnapshot, looks: number): readonly UiSnapshot[] {
  return Array.from({ length: looks }, (_, look) => {
    const services = snapshot.services.map((each, i) => {
      if (each.perSecond === undefined) return each;
      const wave =
        1 + 0.5 * Math.sin(look / (2 + (i % 3)) + i) + 0.2 * Math.sin(2.3 * look + 2 * i);
      return { ...each, perSecond: Math.round(10 * each.perSecond * wave) / 10 };
    });
    return { ...snapshot, services };
  });
}

/** As many as a large node and cluster have. */
export function largeNode(podCount = 500, serviceCount = 1_000): UiSnapshot {
  const address = (i: number) => `10.244.${1 + Math.floor(i / 250)}.${2 + (i % 250)}`;
  const pods = Array.from({ length: podCount }, (_, i) => {
    return pod(`team-${i % 17}/app-${String(i).padStart(4, '0')}`, address(i));
  });
  const services = Array.from({ length: serviceCount }, (_, i) => {
    const endpoints = [
      here(address(i % podCount)),
      ...[2, 3, 4, 5].map((n) => there(`10.245.${n}.${i % 250}`)),
    ];
    const key = `team-${i % 17}/service-${String(i).padStart(4, '0')}`;
    return service(key, `10.96.${Math.floor(i / 250)}.${i % 250}`, endpoints, {
      perSecond: i % 30,
    });
  });
  const peers = Array.from({ length: 60 }, (_, i) => peer(`node-${i + 2}`, i + 2));
  const small = smallNode();
  return {
    ...small,
    ...{
      pods: pods.sort(byKey),
      services: services.sort(byKey),
      peers: peers.sort(byKey),
      findings: [],
    },
    node: {
      ...small.node,
      isHealthy: true,
      counts: { pods: podCount, services: serviceCount, peers: peers.length },
    },
  };
}

function byKey(one: { readonly key: string }, other: { readonly key: string }): number {
  return byName(one.key, other.key);
}
