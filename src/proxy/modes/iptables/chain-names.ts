/**
 * The names of chains, all of them kube-proxy's (pkg/proxy/iptables/proxier.go), so that people and
 * tools find what they know. A name has at most 28 characters (XT_EXTENSION_MAXNAMELEN).
 */
import { hash } from 'node:crypto';
import type { TableName } from '../../../iptables/model.ts';
import type { ServicePort } from '../../service.ts';

export const CHAIN = {
  services: 'KUBE-SERVICES',
  externalServices: 'KUBE-EXTERNAL-SERVICES',
  nodePorts: 'KUBE-NODEPORTS',
  forward: 'KUBE-FORWARD',
  proxyFirewall: 'KUBE-PROXY-FIREWALL',
  postrouting: 'KUBE-POSTROUTING',
  markMasquerade: 'KUBE-MARK-MASQ',
  markOffCluster: 'KUBE-MARK-OFFCLUSTER',
  canary: 'KUBE-PROXY-CANARY',
  /** Of the kubelet, which writes the same loopback guard into it. */
  firewall: 'KUBE-FIREWALL',
} as const;

/** The chains of fixed name that are the proxy's alone, by table. */
const OWN_CHAINS: Readonly<Record<TableName, readonly string[]>> = {
  filter: [
    CHAIN.services,
    CHAIN.externalServices,
    CHAIN.nodePorts,
    CHAIN.forward,
    CHAIN.proxyFirewall,
    CHAIN.canary,
  ],
  nat: [
    CHAIN.services,
    CHAIN.nodePorts,
    CHAIN.postrouting,
    CHAIN.markMasquerade,
    CHAIN.markOffCluster,
    CHAIN.canary,
  ],
  mangle: [CHAIN.canary],
};

type ServiceChainKind = 'SVC' | 'SVL' | 'EXT' | 'FW';

/** XLB was the name of EXT and SVL up to Kubernetes 1.23. */
const SERVICE_CHAIN = /^KUBE-(?:SVC|SVL|EXT|FW|SEP|XLB)-[A-Z2-7]{16}$/;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const HASH_LENGTH = 16;

/** Chain of a ServicePort: endpoints anywhere, endpoints here, outside clients, source ranges. */
export function serviceChain(kind: ServiceChainKind, { name, protocol }: ServicePort): string {
  return `KUBE-${kind}-${hashOf(`${name}${protocol}`)}`;
}

/** Chain of one endpoint of a ServicePort; `address` as in `10.1.0.3:80` or `[fd00::3]:80`. */
export function endpointChain({ name, protocol }: ServicePort, address: string): string {
  return `KUBE-SEP-${hashOf(`${name}${protocol}${address}`)}`;
}

/** Whether a chain of table nat is one that comes and goes with a ServicePort. */
export function isServiceChain(name: string): boolean {
  return SERVICE_CHAIN.test(name);
}

/** Which chains are a mode's own. */
export type IsOwnChain = (table: TableName, name: string) => boolean;

/** Whether the chain is the proxy's own, and so may be flushed and deleted. */
export function isOwnChain(table: TableName, name: string): boolean {
  return OWN_CHAINS[table].includes(name) || (table === 'nat' && isServiceChain(name));
}

/** The first 80 bits of SHA-256 in base 32 (RFC 4648). */
function hashOf(text: string): string {
  let bits = BigInt(`0x${hash('sha256', text).slice(0, 20)}`);
  let encoded = '';
  for (let i = 0; i < HASH_LENGTH; i += 1) {
    encoded = `${BASE32[Number(bits & 31n)]}${encoded}`;
    bits >>= 5n;
  }
  return encoded;
}
