/**
 * Table `inet weft-fabric`: who may use the tunnel, and whose address pods have outside the cluster.
 * Its rules never change; peers, networks and the tunnel's port are elements.
 *
 * Packets to the tunnel's port:
 * - Between this node and a peer they meet no connection tracking and so no NAT: the outer packet has
 *   the mark of the inner one and would else be masqueraded for it, with a wrong checksum on top.
 * - What reaches this node is a peer's, for the address that the Node says, or it is dropped: a peer's pod
 *   that sends to another address of this node may be masqueraded, and has the peer's address then. That is decided at input, not before
 *   connection tracking: a reply to a connection of a pod that was masqueraded with this very port is
 *   for the pod and passes.
 * - What a pod sends, under any address, reaches neither this node nor, under the node's own address
 *   that they trust, a peer. It is looked for where Services have been resolved already, in forward;
 *   IPVS sends what it forwards through output.
 *
 * Masquerading comes after the chains of Services (priority 100): a connection has one source, and who
 * is first decides.
 */
import type { IPFamily } from '../../net/ip.ts';
import { protocolBytes, u32Bytes } from '../../nftables/bytes.ts';
import { isOfFamily } from '../../nftables/family-match.ts';
import { HOOK_PRIORITY } from '../../nftables/hook-priorities.ts';
import type {
  BaseChain,
  Chain,
  NamedSet,
  Rule,
  Table,
  TableDefinition,
} from '../../nftables/model.ts';
import { fib, ip, ip6, meta, th } from '../../nftables/selectors.ts';
import {
  counter,
  drop,
  goTo,
  jump,
  lookup,
  masquerade,
  match,
  matchBits,
  notrack,
  type PortRange,
  returnVerdict,
  type Statement,
} from '../../nftables/statements.ts';
import { DROPPED_PROBES, PROBE_CHAINS, PROBE_SETS, probesRule } from './probe-guard.ts';

export const FABRIC_TABLE: Table = {
  family: 'inet',
  name: 'weft-fabric',
  comment: 'guards of the tunnel, masquerade of pods',
};

const FIELDS = { 4: ip, 6: ip6 } as const;

export const FAMILIES: readonly IPFamily[] = [4, 6];

interface FamilySets {
  /** Addresses of nodes that may send to the tunnel's port. */
  readonly peers: NamedSet;
  /** Addresses of this node that peers send to. */
  readonly own: NamedSet;
  /** Networks of this node's pods. */
  readonly pods: NamedSet;
  /** Those of them whose connections to the outside have the node's address. */
  readonly masqueraded: NamedSet;
  /** Destinations that see the pod's own. */
  readonly direct: NamedSet;
}

export const TUNNEL_PORTS: NamedSet = { name: 'tunnel-ports', key: [th.dport] };
export const POD_LINKS: NamedSet = { name: 'pod-links', key: [meta.iifname] };
export const SETS: Readonly<Record<IPFamily, FamilySets>> = { 4: setsOf(4), 6: setsOf(6) };

/** Chains that count what is dropped, one rule each. */
export const DROPPED = {
  fromPods: 'dropped-from-pods',
  fromStrangers: 'dropped-from-strangers',
  probes: DROPPED_PROBES,
} as const;

const RTN_LOCAL = 2;
/** kube-proxy's: who has it is masqueraded by whoever serves Services. */
const SERVICE_MASQUERADE_MARK = 0x4000;

const FIRST_PORT = 10_000;
const LAST_PORT = 65_535;

/** The table for a tunnel with this port. */
export function tableDefinition(tunnelPort: number | undefined): TableDefinition {
  return {
    table: FABRIC_TABLE,
    sets: [
      TUNNEL_PORTS,
      POD_LINKS,
      ...FAMILIES.flatMap((family) => Object.values(SETS[family])),
      ...PROBE_SETS,
    ],
    chains: [
      ...PROBE_CHAINS,
      ...droppingChains(),
      ...receivingChains(),
      ...sendingChains(),
      ...masqueradingChains(masqueradePorts(tunnelPort)),
    ],
  };
}

/**
 * Source ports of masqueraded UDP: replies to the tunnel's port would be taken for tunnelled packets.
 * Of a port in the middle the larger part.
 */
export function masqueradePorts(tunnelPort: number | undefined): PortRange {
  const all = { first: FIRST_PORT, last: LAST_PORT };
  if (tunnelPort === undefined || tunnelPort < FIRST_PORT) return all;
  const isInUpperHalf = tunnelPort - FIRST_PORT > LAST_PORT - tunnelPort;
  return isInUpperHalf ? { ...all, last: tunnelPort - 1 } : { ...all, first: tunnelPort + 1 };
}

function setsOf(family: IPFamily): FamilySets {
  const { saddr, daddr } = FIELDS[family];
  const suffix = family === 4 ? 'ip' : 'ip6';
  return {
    peers: { name: `peers-${suffix}`, key: [saddr] },
    own: { name: `own-${suffix}`, key: [daddr] },
    pods: { name: `pods-${suffix}`, key: [saddr], isInterval: true },
    masqueraded: { name: `masqueraded-${suffix}`, key: [saddr], isInterval: true },
    direct: { name: `direct-${suffix}`, key: [daddr], isInterval: true },
  };
}

function rule(...statements: readonly Statement[]): Rule {
  return { statements };
}

function perFamily(statementsOf: (family: IPFamily) => readonly Statement[]): readonly Rule[] {
  return FAMILIES.map((family) => {
    return rule(isOfFamily(family), ...statementsOf(family));
  });
}

const isFromPodLink = lookup(POD_LINKS.key, POD_LINKS.name);
const isFromPeer = (family: IPFamily) => lookup([FIELDS[family].saddr], SETS[family].peers.name);
const isToPeer = (family: IPFamily) => lookup([FIELDS[family].daddr], SETS[family].peers.name);
const isToOwn = (family: IPFamily) => lookup([FIELDS[family].daddr], SETS[family].own.name);
const isFromPod = (family: IPFamily) => lookup([FIELDS[family].saddr], SETS[family].pods.name);

/** A base chain that most packets leave after two comparisons. */
function tunnelChain(
  hook: BaseChain['hook'],
  priority: number,
  target: string,
  more: readonly Rule[] = [],
): Chain {
  const isUdp = match(meta.l4proto, '==', protocolBytes('udp'));
  const isToTunnel = lookup(TUNNEL_PORTS.key, TUNNEL_PORTS.name);
  return {
    name: hook,
    base: { type: 'filter', hook, priority },
    rules: [rule(isUdp, isToTunnel, goTo(target)), ...more],
  };
}

function droppingChains(): readonly Chain[] {
  const { fromPods, fromStrangers } = DROPPED;
  return [
    { name: fromPods, rules: [rule(counter(), drop)] },
    { name: fromStrangers, rules: [rule(counter(), drop)] },
    {
      name: 'guarded-from-pods',
      rules: [
        rule(isFromPodLink, goTo(fromPods)),
        ...perFamily((family) => [isFromPod(family), goTo(fromPods)]),
      ],
    },
  ];
}

function receivingChains(): readonly Chain[] {
  const isForNode = match(fib.daddrType, '==', u32Bytes(RTN_LOCAL));
  return [
    {
      name: 'tunnel-untracked',
      rules: perFamily((family) => [isFromPeer(family), isForNode, notrack]),
    },
    {
      // Nearly all are of peers. Those of a pod may have a peer's address.
      name: 'tunnel-received',
      rules: [
        rule(isFromPodLink, goTo(DROPPED.fromPods)),
        ...perFamily((family) => [isFromPeer(family), isToOwn(family), returnVerdict]),
        rule(jump('guarded-from-pods')),
        rule(goTo(DROPPED.fromStrangers)),
      ],
    },
    tunnelChain('prerouting', HOOK_PRIORITY.raw, 'tunnel-untracked'),
    tunnelChain('input', HOOK_PRIORITY.filter, 'tunnel-received', [probesRule]),
  ];
}

function sendingChains(): readonly Chain[] {
  return [
    {
      name: 'tunnel-forwarded',
      rules: perFamily((family) => [isToPeer(family), goTo('guarded-from-pods')]),
    },
    {
      name: 'tunnel-sent',
      rules: perFamily((family) => [isToPeer(family), goTo('tunnel-to-peer')]),
    },
    {
      name: 'tunnel-to-peer',
      rules: [...perFamily((family) => [isFromPod(family), goTo(DROPPED.fromPods)]), rule(notrack)],
    },
    tunnelChain('forward', HOOK_PRIORITY.filter, 'tunnel-forwarded'),
    tunnelChain('output', HOOK_PRIORITY.raw, 'tunnel-sent'),
  ];
}

/** Where a connection goes is asked after where it comes from: most come from elsewhere. */
function masqueradingChains(ports: PortRange): readonly Chain[] {
  const isServices = matchBits(meta.mark, SERVICE_MASQUERADE_MARK, '==', SERVICE_MASQUERADE_MARK);
  const isNotForNode = match(fib.daddrType, '!=', u32Bytes(RTN_LOCAL));
  const isUdp = match(meta.l4proto, '==', protocolBytes('udp'));
  return [
    {
      name: 'masquerade-pods',
      rules: [
        rule(isUdp, masquerade({ isFullyRandom: true, ports })),
        rule(masquerade({ isFullyRandom: true })),
      ],
    },
    {
      name: 'postrouting',
      base: { type: 'nat', hook: 'postrouting', priority: HOOK_PRIORITY.afterSourceNat },
      rules: [
        rule(isServices, returnVerdict),
        ...perFamily((family) => {
          const { masqueraded, direct } = SETS[family];
          const { saddr, daddr } = FIELDS[family];
          return [
            lookup([saddr], masqueraded.name),
            lookup([daddr], direct.name, { isNegated: true }),
            isNotForNode,
            goTo('masquerade-pods'),
          ];
        }),
      ],
    },
  ];
}
