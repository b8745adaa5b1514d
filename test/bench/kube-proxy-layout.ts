/**
 * The ruleset that kube-proxy v1.36 writes in nftables mode for clusterIP Services, as the commands
 * it gives to `nft -f -` (pkg/proxy/nftables/proxier.go): all of its hooks, chains and sets, and per
 * ServicePort one chain with one anonymous map. Values and text only.
 */
import { createHash } from 'node:crypto';
import type { ServiceObjects } from './cluster-objects.ts';

export interface KubeProxyNode {
  readonly nodeName: string;
  readonly nodeIP: string;
  /** Sources outside of it are masqueraded. */
  readonly podCIDR: string;
  readonly serviceCIDR: string;
}

interface Target {
  readonly ip: string;
  readonly port: number;
  readonly isLocal: boolean;
}

interface ServicePort {
  readonly chain: string;
  readonly clusterIP: string;
  readonly protocol: string;
  readonly port: number;
  readonly targets: readonly Target[];
}

const TABLE = 'ip kube-proxy';
const MARK = '0x4000';
const NEW = 'ct state new jump';
const ADDRESS_PORT = 'ip daddr . meta l4proto . th dport';
const ADDRESS_KEY = 'ipv4_addr . inet_proto . inet_service';
const PORT_KEY = 'inet_proto . inet_service';
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** The node whose rules are measured; one endpoint of every Service runs on it. */
export const benchNode: KubeProxyNode = {
  nodeName: 'node0',
  nodeIP: '192.168.0.1',
  podCIDR: '10.0.0.0/8',
  serviceCIDR: '172.30.0.0/15',
};

/** The table's name, for `nft`'s other commands. */
export const KUBE_PROXY_TABLE = TABLE.split(' ');

/** The transaction of a first sync. */
export function fullSync(services: readonly ServiceObjects[], node: KubeProxyNode): string {
  const ports = services.flatMap((objects) => servicePorts(objects, node));
  const lines = [...structure(node), ...ports.flatMap(programPort)];
  return `${lines.join('\n')}\n`;
}

/** The transaction after an endpoint of one Service has moved. */
export function endpointSync(
  before: ServiceObjects,
  after: ServiceObjects,
  node: KubeProxyNode,
): string {
  const old = hairpinKeys(servicePorts(before, node));
  const wanted = hairpinKeys(servicePorts(after, node));
  const lines = [
    ...servicePorts(after, node).flatMap(programChain),
    ...without(wanted, old).map((key) => element('hairpin-connections', key)),
    ...without(old, wanted).map((key) => `delete element ${TABLE} hairpin-connections { ${key} }`),
  ];
  return `${lines.join('\n')}\n`;
}

function without(keys: ReadonlySet<string>, others: ReadonlySet<string>): readonly string[] {
  return [...keys].filter((key) => !others.has(key));
}

function structure(node: KubeProxyNode): readonly string[] {
  return [
    `add table ${TABLE} { comment "rules for kube-proxy"; }`,
    ...sets.map(([kind, name, type, comment]) => {
      const note = comment === '' ? '' : ` comment "${comment}";`;
      return `add ${kind} ${TABLE} ${name} { type ${type};${note} }`;
    }),
    element('nodeport-ips', node.nodeIP),
    // Rules may jump to chains in any order, so all chains come first.
    ...Object.keys(regularChains(node)).map((name) => `add chain ${TABLE} ${name}`),
    ...baseChains.map(
      ([name, type, hook, priority]) =>
        `add chain ${TABLE} ${name} { type ${type} hook ${hook} priority ${priority}; }`,
    ),
    ...baseChains.flatMap(([name, , , , rules]) => rules.map((rule) => ruleIn(name, rule))),
    ...Object.entries(regularChains(node)).flatMap(([name, rules]) =>
      rules.map((rule) => ruleIn(name, rule)),
    ),
  ];
}

const sets: readonly (readonly [kind: string, name: string, type: string, comment: string])[] = [
  ['set', 'cluster-ips', 'ipv4_addr', 'Active ClusterIPs'],
  ['set', 'nodeport-ips', 'ipv4_addr', 'IPs that accept NodePort traffic'],
  [
    'set',
    'hairpin-connections',
    'ipv4_addr . ipv4_addr . inet_proto . inet_service',
    'service hairpin connections',
  ],
  ['map', 'service-ips', `${ADDRESS_KEY} : verdict`, 'ClusterIP, ExternalIP and LoadBalancer IP'],
  ['map', 'service-nodeports', `${PORT_KEY} : verdict`, 'NodePort traffic'],
  ['map', 'no-endpoint-services', `${ADDRESS_KEY} : verdict`, 'services with no endpoints'],
  ['map', 'no-endpoint-nodeports', `${PORT_KEY} : verdict`, 'nodeports with no endpoints'],
  ['map', 'firewall-ips', `${ADDRESS_KEY} : verdict`, 'subject to LoadBalancerSourceRanges'],
];

const baseChains: readonly (readonly [
  name: string,
  type: string,
  hook: string,
  priority: number,
  rules: readonly string[],
])[] = [
  ['filter-prerouting-pre-dnat', 'filter', 'prerouting', -110, [`${NEW} firewall-check`]],
  ['filter-output-pre-dnat', 'filter', 'output', -110, [`${NEW} firewall-check`]],
  [
    'filter-input',
    'filter',
    'input',
    0,
    [`${NEW} nodeport-endpoints-check`, `${NEW} service-endpoints-check`],
  ],
  [
    'filter-forward',
    'filter',
    'forward',
    0,
    [`${NEW} service-endpoints-check`, `${NEW} cluster-ips-check`],
  ],
  [
    'filter-output',
    'filter',
    'output',
    0,
    [`${NEW} service-endpoints-check`, `${NEW} cluster-ips-check`],
  ],
  ['nat-prerouting', 'nat', 'prerouting', -100, ['jump services']],
  ['nat-output', 'nat', 'output', -100, ['jump services']],
  ['nat-postrouting', 'nat', 'postrouting', 100, ['jump masquerading']],
];

function regularChains(node: KubeProxyNode): Readonly<Record<string, readonly string[]>> {
  const nodePort = 'ip daddr @nodeport-ips meta l4proto . th dport vmap';
  return {
    services: [
      `ip daddr @cluster-ips ip saddr != ${node.podCIDR} meta mark set mark or ${MARK}`,
      `${ADDRESS_PORT} vmap @service-ips`,
      `${nodePort} @service-nodeports`,
    ],
    'service-endpoints-check': [`${ADDRESS_PORT} vmap @no-endpoint-services`],
    'nodeport-endpoints-check': [`${nodePort} @no-endpoint-nodeports`],
    'firewall-check': [`${ADDRESS_PORT} vmap @firewall-ips`],
    'cluster-ips-check': ['ip daddr @cluster-ips reject', `ip daddr { ${node.serviceCIDR} } drop`],
    masquerading: [
      `mark and ${MARK} != 0 mark set mark xor ${MARK} masquerade fully-random`,
      'ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections ' +
        'masquerade fully-random',
    ],
    'reject-chain': ['reject'],
  };
}

function programPort(port: ServicePort): readonly string[] {
  const { clusterIP, protocol, port: number, chain } = port;
  const key = `${clusterIP} . ${protocol} . ${number}`;
  const clusterIPElement = element('cluster-ips', clusterIP);
  if (port.targets.length === 0) {
    return [clusterIPElement, element('no-endpoint-services', `${key} : goto reject-chain`)];
  }
  return [
    ...programChain(port),
    clusterIPElement,
    element('service-ips', `${key} : goto ${chain}`),
    ...[...hairpinKeys([port])].map((hairpin) => element('hairpin-connections', hairpin)),
  ];
}

/** Chains are always written anew, with the anonymous map of all endpoints. */
function programChain({ chain, protocol, targets }: ServicePort): readonly string[] {
  if (targets.length === 0) return [];
  const slots = targets.map(({ ip, port }, slot) => `${slot} : ${ip} . ${port}`);
  const draw = `numgen random mod ${targets.length} map { ${slots.join(' , ')} }`;
  return [
    `add chain ${TABLE} ${chain}`,
    `flush chain ${TABLE} ${chain}`,
    ruleIn(chain, `meta l4proto ${protocol} dnat ip addr . port to ${draw}`),
  ];
}

function hairpinKeys(ports: readonly ServicePort[]): ReadonlySet<string> {
  return new Set(
    ports.flatMap(({ targets, protocol }) =>
      targets
        .filter(({ isLocal }) => isLocal)
        .map(({ ip, port }) => `${ip} . ${ip} . ${protocol} . ${port}`),
    ),
  );
}

function servicePorts(
  { service, slices }: ServiceObjects,
  { nodeName }: KubeProxyNode,
): readonly ServicePort[] {
  const { name, namespace } = service.metadata;
  return (service.spec.ports ?? []).map(({ name: portName = '', port, protocol }) => ({
    chain: chainName(`${namespace}/${name}/${protocol.toLowerCase()}/${portName}`),
    clusterIP: service.spec.clusterIP ?? '',
    protocol: protocol.toLowerCase(),
    port,
    targets: slices.flatMap(({ endpoints, ports }) => {
      const target = ports.find((candidate) => candidate.name === portName)?.port;
      if (target === undefined) return [];
      return endpoints.map(({ addresses: [ip = ''], nodeName: on }) => ({
        ip,
        port: target,
        isLocal: on === nodeName,
      }));
    }),
  }));
}

/** `service-ULMVA6XW-ns1/svc1/tcp/p80`: eight characters of the hash keep cut names apart. */
function chainName(name: string): string {
  const digest = createHash('sha256').update(name).digest();
  let hash = '';
  for (let i = 0; i < 8; i++) {
    // Five bits of the digest at a time, most significant first, as in base32.
    const bits = digest.readUInt16BE((i * 5) >> 3);
    hash += BASE32[(bits >> (11 - ((i * 5) & 7))) & 31];
  }
  return `service-${hash}-${name}`;
}

function element(set: string, content: string): string {
  return `add element ${TABLE} ${set} { ${content} }`;
}

function ruleIn(chain: string, rule: string): string {
  return `add rule ${TABLE} ${chain} ${rule}`;
}
