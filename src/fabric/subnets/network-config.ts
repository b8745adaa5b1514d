/**
 * The network configuration of flannel, as etcd holds it at `<network>/config` (flannel
 * pkg/subnet/config.go, ParseConfig and CheckNetworkConfig; backend keys of pkg/backend/vxlan/vxlan.go).
 */
import {
  type Cidr,
  cidrFamily,
  containsIP,
  lastAddress,
  networkAddress,
  prefixLength,
  tryParseCidr,
} from '../../net/cidr.ts';
import {
  addressBits,
  type IP,
  type IPFamily,
  ipFromBigInt,
  ipToBigInt,
  tryParseIP,
} from '../../net/ip.ts';
import { DecodeError } from '../../util/errors.ts';
import { parseJson } from '../../util/json.ts';
import type { Backend } from '../plan.ts';

/** Where nodes' subnets of one family come from: those of `length` whose first addresses are within the limits. */
export interface SubnetPool {
  readonly network: Cidr;
  readonly length: number;
  readonly first: IP;
  readonly last: IP;
}

export interface NetworkConfig {
  /** IPv4 always: a lease's key begins with it. */
  readonly pools: { readonly 4: SubnetPool; readonly 6?: SubnetPool };
  readonly backend: Exclude<Backend, 'none'>;
  /** What leases name the back end. */
  readonly backendType: 'vxlan' | 'host-gw';
  readonly vni: number;
  readonly tunnelPort: number;
}

type Values = Readonly<Record<string, unknown>>;

/** Names of the keys of one family. */
const KEYS = {
  4: { network: 'Network', length: 'SubnetLen', min: 'SubnetMin', max: 'SubnetMax' },
  6: {
    network: 'IPv6Network',
    length: 'IPv6SubnetLen',
    min: 'IPv6SubnetMin',
    max: 'IPv6SubnetMax',
  },
} as const;
const USUAL_LENGTH = { 4: 24, 6: 64 } as const;
/** A subnet has room for a gateway and a pod. */
const LONGEST = { 4: 30, 6: 126 } as const;
const FLANNEL_VNI = 1;
const MOST_VNI = 0xff_ff_ff;
/** The kernel's own, which flannel leaves. */
const KERNEL_PORT = 8472;

/** Throws DecodeError that says what is wrong and what would be right. */
export function parseNetworkConfig(text: string): NetworkConfig {
  const values = recordOf(parseJson(text), 'the configuration');
  if (values['EnableIPv4'] === false) {
    throw new DecodeError('EnableIPv4 is false: subnet leases need IPv4, IPv6 may be beside it');
  }
  const hasIPv6 = values['EnableIPv6'] === true;
  return {
    pools: { 4: readPool(values, 4), ...(hasIPv6 ? { 6: readPool(values, 6) } : {}) },
    ...readBackend(values['Backend']),
  };
}

function readBackend(value: unknown): Omit<NetworkConfig, 'pools'> {
  const words = 'weft has vxlan and host-gw: {"Backend": {"Type": "vxlan"}}';
  if (value === undefined) throw new DecodeError(`there is no Backend, which means udp; ${words}`);
  const { Type: type, VNI: vni, Port: port, DirectRouting, GBP } = recordOf(value, 'Backend');
  if (type !== 'vxlan' && type !== 'host-gw') {
    throw new DecodeError(`Backend.Type is ${shown(type)}; ${words}`);
  }
  if (GBP === true) throw new DecodeError('Backend.GBP: group policies are not supported');
  return {
    backend: type === 'host-gw' ? 'host-gw' : DirectRouting === true ? 'auto' : 'vxlan',
    backendType: type,
    vni: number(vni, 'Backend.VNI', 1, MOST_VNI) ?? FLANNEL_VNI,
    tunnelPort: (port === 0 ? undefined : number(port, 'Backend.Port', 1, 65_535)) ?? KERNEL_PORT,
  };
}

function readPool(values: Values, family: IPFamily): SubnetPool {
  const keys = KEYS[family];
  const text = values[keys.network];
  const network = typeof text === 'string' ? tryParseCidr(text) : undefined;
  if (network === undefined || cidrFamily(network) !== family) {
    throw new DecodeError(
      `${keys.network}: expected a network of IPv${family}, found ${shown(text)}`,
    );
  }
  const own = prefixLength(network);
  const usual = own <= USUAL_LENGTH[family] - 2 ? USUAL_LENGTH[family] : own + 2;
  const given = values[keys.length] === 0 ? undefined : values[keys.length];
  const length = number(given, keys.length, own + 2, LONGEST[family]) ?? usual;
  if (length > LONGEST[family]) {
    throw new DecodeError(`${keys.network}: ${network} is too small for four subnets`);
  }
  const size = 1n << BigInt(addressBits(family) - length);
  // The first subnet has the network's own address and is left out.
  const second = ipFromBigInt(family, ipToBigInt(networkAddress(network)) + size);
  const final = ipFromBigInt(family, ipToBigInt(lastAddress(network)) + 1n - size);
  const limit = (key: string, fallback: IP) => {
    const ip = limitOf(values[key], key, network) ?? fallback;
    if (ipToBigInt(ip) % size === 0n) return ip;
    throw new DecodeError(`${key}: ${ip} is no first address of a subnet of /${length}`);
  };
  return { network, length, first: limit(keys.min, second), last: limit(keys.max, final) };
}

/** Flannel writes what is not set as the unspecified address, or null. */
function limitOf(value: unknown, key: string, network: Cidr): IP | undefined {
  if (
    value === undefined ||
    value === null ||
    value === '' ||
    value === '0.0.0.0' ||
    value === '::'
  ) {
    return undefined;
  }
  const ip = typeof value === 'string' ? tryParseIP(value) : undefined;
  if (ip !== undefined && containsIP(network, ip)) return ip;
  throw new DecodeError(`${key}: expected an address of ${network}, found ${shown(value)}`);
}

function number(value: unknown, key: string, min: number, max: number): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
    return value;
  }
  throw new DecodeError(`${key}: expected ${min} to ${max}, found ${shown(value)}`);
}

function recordOf(value: unknown, what: string): Values {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    // Any object can be indexed by string; what is read stays unknown.
    return value as Values;
  }
  throw new DecodeError(`${what} is not a JSON object`);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 80);
}
