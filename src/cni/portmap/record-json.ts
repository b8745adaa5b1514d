/** Records and claims as the store's files hold them; anything else reads as undefined. */

import { type Cidr, tryParseCidr } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, tryParseIP } from '../../net/ip.ts';
import { isText, parseJson } from '../../util/json.ts';
import { decodeNetnsPlace } from '../attachment.ts';
import type {
  HostPort,
  HostPortRecord,
  IptablesOptions,
  MasqueradeScope,
  PodAddress,
  PortProtocol,
} from '../host-ports.ts';
import { isJsonObject } from '../protocol/json.ts';
import { parseCondition } from './conditions.ts';

/** That an attachment has a port or a pod address. */
export interface Claim {
  /** Its attachmentKey. */
  readonly attachment: string;
  /** The node's address of a port; absent: on every one. */
  readonly address?: IP;
  readonly condition?: string;
}

type Members = Readonly<Record<string, unknown>>;

const PROTOCOLS: readonly PortProtocol[] = ['tcp', 'udp', 'sctp'];
const SCOPES: readonly MasqueradeScope[] = ['none', 'subnet', 'all'];

export function decodeRecord(text: string): HostPortRecord | undefined {
  const value = parseJson(text);
  if (!isJsonObject(value) || !isJsonObject(value['attachment'])) return undefined;
  const { network, containerId, ifName } = value['attachment'];
  const ports = all(value['ports'], decodePort);
  const pods = all(value['pods'], decodePod);
  const masquerade = SCOPES.find((scope) => scope === value['masquerade']);
  const hasNames = isText(network) && isText(containerId) && isText(ifName);
  if (!hasNames || ports === undefined || pods === undefined || masquerade === undefined) {
    return undefined;
  }
  const { pod, loopbackLink } = value;
  const netns = decodeNetnsPlace(value['netns']);
  const iptables = decodeIptables(value['iptables']);
  if (iptables === undefined && !ports.every(hasUsableCondition)) return undefined;
  return {
    attachment: { network, containerId, ifName },
    ...(netns === undefined ? {} : { netns }),
    ...(isText(pod) ? { pod } : {}),
    ports,
    pods,
    masquerade,
    ...(iptables === undefined ? {} : { iptables }),
    ...(isText(loopbackLink) ? { loopbackLink } : {}),
  };
}

export function decodeClaims(text: string): readonly Claim[] | undefined {
  return all(parseJson(text), (claim) => {
    const { attachment, address, condition } = claim;
    if (!isText(attachment)) return undefined;
    const own = { attachment, ...(isText(condition) ? { condition } : {}) };
    if (address === undefined) return own;
    const parsed = decodeIP(address);
    return parsed && { ...own, address: parsed };
  });
}

function decodePort(port: Members): HostPort | undefined {
  const { protocol: name, port: number, targetPort } = port;
  const protocol = PROTOCOLS.find((known) => known === name);
  const target = decodeIP(port['target']);
  const address = decodeIP(port['address']);
  const isWhole = typeof number === 'number' && typeof targetPort === 'number';
  if (!isWhole || protocol === undefined || target === undefined) return undefined;
  if (address === undefined && port['address'] !== undefined) return undefined;
  const family = ipFamily(target);
  const from = { family, protocol, port: number };
  const condition = isText(port['condition']) ? { condition: port['condition'] } : {};
  const to = { ...condition, target, targetPort };
  return address === undefined ? { ...from, ...to } : { ...from, address, ...to };
}

/** Rules are made of it again. */
function hasUsableCondition({ condition, family }: HostPort): boolean {
  try {
    parseCondition(condition ?? '', { key: 'condition', family });
    return true;
  } catch {
    return false;
  }
}

/** What a removal needs of it is that it is there. */
function decodeIptables(value: unknown): IptablesOptions | undefined {
  if (!isJsonObject(value)) return undefined;
  const { setMarkChain, markBit, conditions } = value;
  const of = (family: IPFamily) => {
    const words = isJsonObject(conditions) ? conditions[family] : undefined;
    return Array.isArray(words) ? words.filter(isText) : [];
  };
  return {
    ...(isText(setMarkChain) ? { setMarkChain } : {}),
    markBit: typeof markBit === 'number' ? markBit : 0,
    conditions: { 4: of(4), 6: of(6) },
  };
}

function decodePod(pod: Members): PodAddress | undefined {
  const address = decodeIP(pod['address']);
  const subnet = decodeCidr(pod['subnet']);
  return address === undefined || subnet === undefined ? undefined : { address, subnet };
}

function decodeIP(value: unknown): IP | undefined {
  return typeof value === 'string' ? tryParseIP(value) : undefined;
}

function decodeCidr(value: unknown): Cidr | undefined {
  return typeof value === 'string' ? tryParseCidr(value) : undefined;
}

/** Undefined when any item is not what it should be. */
function all<T>(value: unknown, decode: (item: Members) => T | undefined): T[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const items: T[] = [];
  for (const item of value) {
    const decoded = isJsonObject(item) ? decode(item) : undefined;
    if (decoded === undefined) return undefined;
    items.push(decoded);
  }
  return items;
}
