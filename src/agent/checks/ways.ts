/** By which links packets come and go, and how large they may be. Pure. */
import type { PathFinding } from '../../fabric/probe/path.ts';
import { type Check, type Fact, known } from './check.ts';

export interface WayFacts {
  /** Links that lead out of the node. */
  readonly uplinks: Fact<readonly Uplink[]>;
  /** Packets that rp_filter has dropped: since the last look, or at the first one since the boot. */
  readonly filtered: Fact<{ readonly count: number; readonly isSinceLast: boolean }>;
  /** The largest MTU of the pods; undefined without pods. */
  readonly podMtu: Fact<number | undefined>;
  /** How pods come by their MTU. */
  readonly hasFabric: boolean;
  /** What arrives at pods of other nodes; undefined where nobody probes. */
  readonly paths: readonly PathFinding[] | undefined;
  /** Addresses of pods of other nodes that no route leads to. */
  readonly lostPeers: Fact<readonly LostPeer[]>;
  /** How many were looked for. */
  readonly soughtPeers: number;
  /** Pods of this node whose addresses are led elsewhere. */
  readonly lostPods: Fact<readonly LostPod[]>;
  readonly soughtPods: number;
}

export interface Uplink {
  readonly name: string;
  readonly mtu: number;
  /** The default route goes by it. */
  readonly isDefault: boolean;
  /** The larger of its own value and that of all, as the kernel has it: 1 is strict. */
  readonly rpFilter: number;
}

export interface LostPeer {
  readonly address: string;
  readonly node: string;
}

export interface LostPod {
  readonly name: string;
  readonly address: string;
  readonly bridge: string;
  /** The link that a route leads to; undefined: none does. */
  readonly link: string | undefined;
}

const STRICT = 1;
/** One that is lost may have been forged; a connection that begins sends several. */
const FEW_PACKETS = 3;
const MOST_NAMED = 3;

const rpFilter: Check<WayFacts> = {
  id: 'rp-filter',
  concernsTraffic: true,
  why: 'a strict rp_filter drops packets that come by another link than the answers to them leave by',
  judge: (facts) => {
    const uplinks = known(facts.uplinks);
    const strict = uplinks.filter((link) => link.rpFilter === STRICT).map(({ name }) => name);
    if (strict.length === 0) return { level: 'ok', seen: 'no link that leads out is strict' };
    const { count, isSinceLast } = known(facts.filtered);
    const names = strict.join(', ');
    // With one link there is no other way back: who is dropped there has forged its address.
    if (uplinks.length < 2 || count < FEW_PACKETS) {
      return {
        level: 'ok',
        seen: `strict on ${names}, and nothing was dropped by it that came by another link`,
      };
    }
    const since = isSinceLast ? 'since the last look' : 'since the boot';
    const others = uplinks.filter(({ isDefault }) => isDefault).map(({ name }) => name);
    const by = others.length === 0 ? '' : `, and the default route is by ${others.join(', ')}`;
    return {
      level: isSinceLast ? 'failing' : 'warning',
      seen: `rp_filter is 1 on ${names}, and has dropped ${count} packets ${since}: the route back to their senders is another link${by}`,
      cure: `sysctl -w ${strict.map((name) => `net.ipv4.conf.${sysctlName(name)}.rp_filter=2`).join(' ')}`,
    };
  },
};

const podMtu: Check<WayFacts> = {
  id: 'pod-mtu',
  concernsTraffic: true,
  why: 'full-size packets of pods do not fit the link: where ICMP is filtered, connections hang after their start',
  judge: (facts) => {
    const mtu = known(facts.podMtu);
    const [uplink] = known(facts.uplinks).filter(({ isDefault }) => isDefault);
    if (mtu === undefined || uplink === undefined) return undefined;
    const seen = `pods have an MTU of ${mtu}, the uplink ${uplink.name} one of ${uplink.mtu}`;
    if (mtu <= uplink.mtu) return { level: 'ok', seen };
    const setting = facts.hasFabric
      ? `set fabric.mtu: ${uplink.mtu}`
      : `set "mtu": ${uplink.mtu} in the network configuration, and make the pods anew`;
    return {
      level: 'warning',
      seen,
      cure: `ip link set ${uplink.name} mtu ${mtu} where its network carries that; else ${setting}`,
    };
  },
};

const pathMtu: Check<WayFacts> = {
  id: 'path-mtu',
  concernsTraffic: true,
  why: 'larger packets vanish without a word: connections between pods of two nodes hang after their start',
  judge: ({ paths }) => {
    if (paths === undefined) return undefined;
    const small = paths.filter(({ mtu, wanted }) => mtu > 0 && mtu < wanted);
    const [first] = small;
    if (first === undefined) {
      return {
        level: 'ok',
        seen: `of ${paths.length} ways to other nodes none carries only small packets`,
      };
    }
    const named = small.slice(0, MOST_NAMED).map(({ path, mtu }) => `${mtu} to node ${path.node}`);
    const more = small.length > MOST_NAMED ? ', …' : '';
    return {
      level: 'failing',
      seen: `path MTU ${named.join(', ')}${more}, pods ${first.wanted}`,
      cure: `raise the MTU of the links between, or set fabric.mtu: ${Math.min(...small.map(({ mtu }) => mtu))}`,
    };
  },
};

const peerRoutes: Check<WayFacts> = {
  id: 'peer-routes',
  concernsTraffic: true,
  why: 'what is sent to these pods is answered with "no route to host", or lost',
  judge: ({ lostPeers, soughtPeers, hasFabric }) => {
    if (soughtPeers === 0) return undefined;
    const lost = known(lostPeers);
    if (lost.length === 0)
      return {
        level: 'ok',
        seen: `${soughtPeers} ways to pods of other nodes were tried, and all lead somewhere`,
      };
    const named = lost.slice(0, MOST_NAMED).map(({ address, node }) => `${address} (node ${node})`);
    return {
      level: 'failing',
      seen: `no route to ${named.join(', ')}${lost.length > MOST_NAMED ? ` and ${lost.length - MOST_NAMED} more` : ''}`,
      cure: hasFabric
        ? 'weft status says why the fabric does not make it; ip route get shows what is there'
        : 'ip route add the podCIDR of that node via its address, or have weft make routes: component fabric',
    };
  },
};

const podRoutes: Check<WayFacts> = {
  id: 'pod-routes',
  concernsTraffic: true,
  why: 'nothing reaches these pods, not even from their own node',
  judge: ({ lostPods, soughtPods }) => {
    if (soughtPods === 0) return undefined;
    const [lost] = known(lostPods);
    if (lost === undefined) return { level: 'ok', seen: 'routes lead to the pods of this node' };
    const { name, address, bridge, link } = lost;
    const where = link === undefined ? 'no route leads to' : `the route by ${link} takes`;
    return {
      level: 'failing',
      seen: `${where} ${address} of pod ${name}, which is on bridge ${bridge}`,
      cure: `ip route get ${address} shows the route that is taken: remove it; the route by ${bridge} belongs to the address of the bridge`,
    };
  },
};

export const WAY_CHECKS: readonly Check<WayFacts>[] = [
  ...[rpFilter, podMtu, pathMtu, peerRoutes, podRoutes],
];

/** A dot in the name of a link stands for a slash there. */
function sysctlName(link: string): string {
  return link.replaceAll('.', '/');
}
