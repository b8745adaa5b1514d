/** The configuration of the reference's firewall plugin. */
import { ConfigError } from '../../util/errors.ts';
import type { Isolation } from '../attachment-records.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';

export interface FirewallConfig {
  /** Absent: firewalld where that runs, iptables elsewhere. */
  readonly backend?: 'iptables' | 'firewalld';
  /** Of firewalld. */
  readonly zone: string;
  /** Chain that sees the pods' packets before they are accepted. */
  readonly adminChain: string;
  readonly ingress: IngressPolicy;
}

/** Whether pods are reached from other bridges, and from their own. */
export type IngressPolicy = 'open' | Isolation['policy'];

type Members = Readonly<Record<string, unknown>>;

const DEFAULT_ADMIN_CHAIN = 'CNI-ADMIN';
const DEFAULT_ZONE = 'trusted';
/** XT_EXTENSION_MAXNAMELEN without the NUL: longer names iptables cannot print. */
const MAX_CHAIN_BYTES = 28;
const POLICIES: readonly IngressPolicy[] = ['open', 'same-bridge', 'isolated'];

/**
 * As a plugin of its own the keys are at the top level and it is always wanted. In a chain inside one
 * plugin they are in the object `firewall`, which may also be `true`; undefined when it is missing.
 * Throws ConfigError (CNI code 7).
 */
export function parseFirewallConfig(config: Members): FirewallConfig | undefined {
  if (isFirewallPlugin(config)) return parseKeys(config, '');
  const value = memberOf(config, 'firewall') ?? false;
  if (value === false) return undefined;
  if (value === true) return parseKeys({}, '');
  if (isJsonObject(value)) return parseKeys(value, 'firewall.');
  throw new ConfigError('firewall', 'must be true, false or an object');
}

/** Whether the chain is the runtime's and this member one plugin of it. */
export function isFirewallPlugin(config: Members): boolean {
  return memberOf(config, 'type') === 'firewall';
}

function parseKeys(members: Members, prefix: string): FirewallConfig {
  const backend = memberOf(members, 'backend') ?? '';
  if (backend !== '' && backend !== 'iptables' && backend !== 'firewalld') {
    const text = `unrecognized firewall backend ${JSON.stringify(backend)}`;
    throw new ConfigError(`${prefix}backend`, text);
  }
  return {
    ...(backend === '' ? {} : { backend }),
    zone: parseZone(members, prefix),
    adminChain: parseChain(members, prefix),
    ingress: parsePolicy(members, prefix),
  };
}

function parseZone(members: Members, prefix: string): string {
  const zone = memberOf(members, 'firewalldZone') ?? '';
  if (zone === '') return DEFAULT_ZONE;
  if (typeof zone === 'string' && /^[\w./-]+$/.test(zone)) return zone;
  throw new ConfigError(`${prefix}firewalldZone`, `invalid zone ${JSON.stringify(zone)}`);
}

function parsePolicy(members: Members, prefix: string): IngressPolicy {
  const value = memberOf(members, 'ingressPolicy') ?? '';
  const policy = value === '' ? 'open' : POLICIES.find((known) => known === value);
  if (policy !== undefined) return policy;
  const text = `unsupported ingress policy: ${JSON.stringify(value)}`;
  throw new ConfigError(`${prefix}ingressPolicy`, text);
}

function parseChain(members: Members, prefix: string): string {
  const chain = memberOf(members, 'iptablesAdminChainName') ?? '';
  if (chain === '') return DEFAULT_ADMIN_CHAIN;
  if (typeof chain === 'string' && isChainName(chain)) return chain;
  const key = `${prefix}iptablesAdminChainName`;
  throw new ConfigError(key, `invalid chain name ${JSON.stringify(chain)}`);
}

/** Whether iptables takes it for the name of a chain. */
export function isChainName(text: string): boolean {
  return /^[\w.:-]+$/.test(text) && !text.startsWith('-') && text.length <= MAX_CHAIN_BYTES;
}
