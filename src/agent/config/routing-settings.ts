import { cidrFamily, prefixLength } from '../../net/cidr.ts';
import { parseConfiguredCidrs } from '../../net/configured-cidr.ts';
import { addressBits, parseIP } from '../../net/ip.ts';
import { EVERY_NODE, type NodeSelector, parseNodeSelector } from '../../routing/node-selector.ts';
import { type AddressPool, parseRange } from '../../routing/pools/pool.ts';
import type {
  Advertised,
  BgpSettings,
  Community,
  ImportedNetwork,
  PeerSettings,
  Topology,
} from '../../routing/settings.ts';
import { toError } from '../../util/errors.ts';
import type { KeyPath, Origin } from './document.ts';
import {
  boolean,
  fillTable,
  integer,
  list,
  optional,
  text,
  type ValuesOf,
  word,
} from './setting.ts';
import { SettingsReader } from './settings-reader.ts';

const ADVERTISED: readonly Advertised[] = [
  'podCIDRs',
  'clusterIPs',
  'externalIPs',
  'loadBalancerIPs',
];
const MOST_ASN = 4_294_967_295;
const MOST_SHORT = 65_535;
/** Pools without a priority come after those with one. */
const LAST = 2_147_483_647;
/** IPv4's time to live, which counts the routers. */
const MOST_HOPS = 255;

const ASN_SCHEMA = { type: 'integer', minimum: 1, maximum: MOST_ASN };
const TEXTS_SCHEMA = { type: 'array', items: { type: 'string' } };
const PEER_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'address', 'asn'],
  properties: {
    name: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$' },
    nodes: { type: 'string' },
    address: { type: 'string' },
    asn: ASN_SCHEMA,
    localASN: ASN_SCHEMA,
    passwordFile: { type: 'string', pattern: '^/' },
    multihop: { type: 'integer', minimum: 1, maximum: MOST_HOPS },
    bfd: { type: 'boolean' },
    import: TEXTS_SCHEMA,
    communities: TEXTS_SCHEMA,
  },
};

const POOL_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'addresses'],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 253 },
    addresses: { ...TEXTS_SCHEMA, minItems: 1 },
    autoAssign: { type: 'boolean' },
    avoidBuggyIPs: { type: 'boolean' },
    namespaces: TEXTS_SCHEMA,
    priority: { type: 'integer', minimum: 0, maximum: 2_147_483_647 },
  },
};

/** A neighbour as the file has it. */
interface PeerEntry {
  readonly name: string;
  readonly nodes?: string;
  readonly address: string;
  readonly asn: number;
  readonly localASN?: number;
  readonly passwordFile?: string;
  readonly multihop?: number;
  readonly bfd?: boolean;
  readonly import?: readonly string[];
  readonly communities?: readonly string[];
}

/** The section `routing` of the agent's file. */
export const ROUTING_SETTINGS = {
  asn: integer(
    64_512,
    "Autonomous system of this cluster's nodes; the annotation weft.dev/asn of a Node is its own",
    { min: 1, max: MOST_ASN, isLive: true },
  ),
  topology: word<Topology>(
    ['none', 'mesh', 'reflectors'],
    'none',
    'Which nodes tell each other their podCIDRs by BGP: none, all of up to 50, or all through reflectors. With fabric.backend none these are the routes to other nodes',
    { isLive: true },
  ),
  reflectors: text(
    'weft.dev/route-reflector=true',
    'Labels of the Nodes that reflect routes, as kubectl -l takes them',
    { isLive: true },
  ),
  advertise: list(
    ['podCIDRs'],
    'What neighbours are told: podCIDRs, clusterIPs, externalIPs, loadBalancerIPs',
    { isLive: true },
  ),
  communities: list(
    [],
    'On every route that is told: 64512:100, or three numbers for a large one',
    {
      isLive: true,
    },
  ),
  bfd: boolean(
    true,
    'See the loss of a node in a second; without it routes outlive a restart of BIRD',
    { isLive: true },
  ),
  peers: optional<readonly PeerEntry[]>(
    'other',
    'Routers that nodes talk to: name, address, asn; nodes (labels), localASN, passwordFile, multihop, bfd, import (networks, "10.0.0.0/8 le 24"), communities',
    { isLive: true, shown: 'none', schema: { type: 'array', items: PEER_SCHEMA, maxItems: 64 } },
  ),
  loadBalancers: boolean(
    false,
    'Give Services of type LoadBalancer addresses of pools: of objects AddressPool, and of routing.pools',
  ),
  loadBalancerClass: text(
    '',
    'The loadBalancerClass of Services that are given addresses; empty for those without',
  ),
  pools: optional<readonly PoolEntry[]>(
    'other',
    'Addresses to give, beside objects AddressPool: name, addresses ("192.0.2.0/28", "192.0.2.10-192.0.2.20"), autoAssign, avoidBuggyIPs, namespaces, priority',
    { shown: 'none', schema: { type: 'array', items: POOL_SCHEMA, maxItems: 256 } },
  ),
  readMetalLB: boolean(false, "Give addresses of MetalLB's IPAddressPools too"),
  announceOnLinks: boolean(
    false,
    'Answer neighbours of a link for load balancer addresses of Services (ARP, neighbour discovery): one node for each',
  ),
  announcers: text(
    '',
    'Labels of the Nodes that may answer, as kubectl -l takes them; each writes a Lease twice a second',
    { shown: 'all', isLive: true },
  ),
  leaseNamespace: text('weft', 'Where the Leases are by which agents agree who does what'),
  directory: text(
    '/run/weft/bird',
    "Where BIRD's configuration is written and its socket is: bird.conf, bird.ctl",
    { schema: { pattern: '^/[A-Za-z0-9._/-]*$' } },
  ),
} as const;

/** A pool as the file has it. */
interface PoolEntry {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly autoAssign?: boolean;
  readonly avoidBuggyIPs?: boolean;
  readonly namespaces?: readonly string[];
  readonly priority?: number;
}

type RoutingValues = ValuesOf<typeof ROUTING_SETTINGS>;

/** The section with its texts parsed. */
export interface RoutingSettings extends BgpSettings {
  readonly directory: string;
  readonly loadBalancers: boolean;
  readonly loadBalancerClass: string;
  readonly pools: readonly AddressPool[];
  readonly readMetalLB: boolean;
  readonly announceOnLinks: boolean;
  readonly announcers: NodeSelector;
  readonly leaseNamespace: string;
}

/** Checks a section whose types are right. Throws one ConfigError that lists every wrong field. */
export function resolveRoutingSettings(
  file: Partial<RoutingValues>,
  origin: Origin,
): RoutingSettings {
  // The table is what the type is made of.
  const values = fillTable(ROUTING_SETTINGS, file) as RoutingValues;
  const reader = new RoutingReader((path: KeyPath) => origin(['routing', ...path]));
  reader.limits(ROUTING_SETTINGS, values);
  const { peers = [], pools = [], ...others } = values;
  const settings = {
    ...others,
    reflectors: reader.selector(['reflectors'], values.reflectors),
    announcers: reader.selector(['announcers'], values.announcers),
    advertise: new Set(
      values.advertise.flatMap((name) => reader.oneOf(['advertise'], name, ADVERTISED) ?? []),
    ),
    communities: reader.communities(['communities'], values.communities),
    peers: peers.map((peer, i) => reader.peer(['peers', String(i)], peer)),
    pools: pools.map((pool, i) => reader.pool(['pools', String(i)], pool)),
  };
  const repeated = peers.find(({ name }, i) => peers.findIndex((peer) => peer.name === name) < i);
  if (repeated !== undefined) reader.problem(['peers'], `two are called ${repeated.name}`);
  reader.throwProblems();
  return settings;
}

class RoutingReader extends SettingsReader {
  selector(path: KeyPath, text: string): NodeSelector {
    const selector = parseNodeSelector(text);
    if (selector === undefined) {
      this.problem(path, `expected labels such as rack=a,!spare, found "${text}"`);
    }
    return selector ?? EVERY_NODE;
  }

  communities(path: KeyPath, texts: readonly string[]): readonly Community[] {
    return texts.flatMap((text) => {
      const community = parseCommunity(text);
      if (community !== undefined) return [community];
      this.problem(path, `expected a community such as 64512:100 or 64512:1:2, found "${text}"`);
      return [];
    });
  }

  peer(path: KeyPath, entry: PeerEntry): PeerSettings {
    const { name, asn, localASN, passwordFile, multihop, bfd = false } = entry;
    const address = this.ip([...path, 'address'], entry.address);
    return {
      ...{ name, asn, bfd },
      address: address ?? parseIP('0.0.0.0'),
      nodes: this.selector([...path, 'nodes'], entry.nodes ?? ''),
      ...(localASN === undefined ? {} : { localASN }),
      ...(passwordFile === undefined ? {} : { passwordFile }),
      ...(multihop === undefined ? {} : { multihop }),
      imports: (entry.import ?? []).flatMap((text) => this.#imported([...path, 'import'], text)),
      communities: this.communities([...path, 'communities'], entry.communities ?? []),
    };
  }

  pool(
    path: KeyPath,
    { name, addresses, namespaces = [], priority, ...more }: PoolEntry,
  ): AddressPool {
    const ranges = addresses.flatMap((text) => {
      const range = parseRange(text);
      if (range !== undefined) return [range];
      this.problem(
        [...path, 'addresses'],
        `expected 192.0.2.0/28 or 192.0.2.10-192.0.2.20, found "${text}"`,
      );
      return [];
    });
    const { autoAssign: isAutomatic = true, avoidBuggyIPs: avoidsEdges = false } = more;
    return { name, ranges, namespaces, isAutomatic, avoidsEdges, priority: priority || LAST };
  }

  #imported(path: KeyPath, text: string): readonly ImportedNetwork[] {
    const [, prefix = '', le] = /^(\S+)(?:\s+le\s+(\d{1,3}))?$/.exec(text.trim()) ?? [];
    try {
      const [network, another] = parseConfiguredCidrs(prefix);
      if (network === undefined || another !== undefined) throw new Error('one network');
      const shortest = prefixLength(network);
      const longest = le === undefined ? shortest : Number(le);
      const most = addressBits(cidrFamily(network));
      if (longest >= shortest && longest <= most) return [{ network, longest }];
      this.problem(path, `"${text}": le goes from ${shortest} to ${most}`);
    } catch (thrown) {
      const reason = toError(thrown).message;
      this.problem(path, `expected a network such as 10.0.0.0/8 le 24, found "${text}": ${reason}`);
    }
    return [];
  }
}

function parseCommunity(text: string): Community | undefined {
  if (!/^\d{1,10}(?::\d{1,10}){1,2}$/.test(text)) return undefined;
  const [first = 0, second = 0, third] = text.split(':').map(Number);
  const most = third === undefined ? MOST_SHORT : MOST_ASN;
  if ([first, second, third ?? 0].some((part) => part > most)) return undefined;
  return third === undefined ? [first, second] : [first, second, third];
}
