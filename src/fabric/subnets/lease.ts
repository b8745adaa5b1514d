/**
 * Subnet leases as flannel keeps them in etcd, one key for each node: `<network>/subnets/10.244.1.0-24`,
 * with `&fd00::-64` behind it in a cluster of both families (flannel pkg/subnet/subnet.go, ParseSubnetKey;
 * pkg/lease/lease.go, LeaseAttrs). What flannel does not know of a value it leaves out of account, so that a
 * weft node adds its name.
 */
import type { Entry, EntryLayout, KeyValue } from '../../kube/etcd/entries.ts';
import { uidOf } from '../../kube/etcd/entries.ts';
import { type DecodeMode, ObjectReader } from '../../kube/fields.ts';
import type { Resource } from '../../kube/resources.ts';
import type { KubernetesObject, Node } from '../../kube/types.ts';
import {
  type Cidr,
  cidrFamily,
  networkAddress,
  prefixLength,
  tryParseCidr,
} from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, tryParseIP } from '../../net/ip.ts';
import { type Mac, macToBytes, parseMac } from '../../net/mac.ts';
import { DecodeError } from '../../util/errors.ts';
import { parseJson } from '../../util/json.ts';
import { tunnelMac } from '../names.ts';
import type { NetworkConfig } from './network-config.ts';

/** Subnets of one lease, IPv4 first. */
export type Subnets = readonly [Cidr, Cidr?];

/** A lease as it is read; `metadata.name` is the last part of its key. */
export interface SubnetLease extends KubernetesObject {
  readonly value: {
    readonly addresses: readonly string[];
    /** Absent: a node of flannel's. */
    readonly nodeName?: string | undefined;
    /** Of the device that tunnels end at there. */
    readonly mac?: string | undefined;
  };
}

const KEY = /^(\d{1,3}(?:\.\d{1,3}){3})-(\d{1,2})(?:&([0-9a-f:.]{2,45})-(\d{1,3}))?$/;
const NODE_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;

/** Undefined for what is no key of a lease: none at all, or with bits of hosts in its networks. */
export function parseSubnetKey(name: string): Subnets | undefined {
  const [, four, length4, six, length6] = KEY.exec(name) ?? [];
  if (four === undefined) return undefined;
  const first = networkOf(four, length4, 4);
  const second = six === undefined ? undefined : networkOf(six, length6, 6);
  if (first === undefined || (six !== undefined && second === undefined)) return undefined;
  return second === undefined ? [first] : [first, second];
}

function networkOf(address: string, length = '', family: IPFamily): Cidr | undefined {
  const cidr = tryParseCidr(`${address}/${length}`);
  const isWhole = cidr !== undefined && networkAddress(cidr) === tryParseIP(address);
  return isWhole && cidrFamily(cidr) === family ? cidr : undefined;
}

export function subnetKey(subnets: Subnets): string {
  return subnets
    .flatMap((cidr) => (cidr === undefined ? [] : `${networkAddress(cidr)}-${prefixLength(cidr)}`))
    .join('&');
}

/** How leases lie below flannel's prefix (`/coreos.com/network`). */
export function leaseLayout(network: string): EntryLayout {
  const prefix = `${network}/subnets/`;
  return {
    prefix,
    pattern: `${prefix}10.244.1.0-24`,
    placeOf: (key) => {
      const name = key.slice(prefix.length);
      return key.startsWith(prefix) && parseSubnetKey(name) !== undefined ? { name } : undefined;
    },
    valueOf: ({ metadata, pair }: Entry) => ({
      metadata: { ...metadata, uid: uidOf(pair) },
      value: readValue(pair),
    }),
  };
}

function readValue({ value }: Pick<KeyValue, 'value'>): SubnetLease['value'] {
  const reader = new ObjectReader(parseJson(value), 'strict');
  const data = reader.optionalObject('BackendData');
  const nodeName = reader.optionalString('NodeName');
  const addresses = [reader.string('PublicIP'), reader.optionalString('PublicIPv6')];
  return {
    addresses: addresses.flatMap((each) => each ?? []),
    nodeName,
    mac: data?.optionalString('VtepMAC'),
  };
}

/** Leases as objects that are listed and watched; they are no kind of Kubernetes'. */
export const subnetLeases: Resource<SubnetLease> = {
  group: 'flannel',
  version: 'v1',
  plural: 'subnetleases',
  kind: 'SubnetLease',
  isNamespaced: false,
  isSelected: () => true,
  decode: decodeLease,
  weigh: () => 1,
  unguardedLoss: 1,
};

function decodeLease(raw: unknown, mode: DecodeMode): SubnetLease {
  const reader = new ObjectReader(raw, mode);
  const metadata = reader.object('metadata');
  const value = reader.object('value');
  const name = metadata.string('name');
  if (parseSubnetKey(name) === undefined) throw new DecodeError('the key is no subnet');
  const addresses = value.optionalStrings('addresses') ?? [];
  for (const text of addresses) {
    if (tryParseIP(text) === undefined)
      throw new DecodeError(`${JSON.stringify(text.slice(0, 50))} is no address`);
  }
  const nodeName = value.optionalString('nodeName');
  if (nodeName !== undefined && !NODE_NAME.test(nodeName)) {
    throw new DecodeError('NodeName is not the name of a node');
  }
  return {
    metadata: {
      name,
      namespace: '',
      uid: metadata.optionalString('uid'),
      resourceVersion: metadata.optionalString('resourceVersion'),
    },
    value: { addresses, nodeName, mac: usableMac(value.optionalString('mac')) },
  };
}

/** Frames are sent to it: to one device, and not to none. */
function usableMac(text: string | undefined): Mac | undefined {
  if (text === undefined) return undefined;
  const mac = parseMac(text);
  const [first = 0, ...rest] = macToBytes(mac);
  const isUsable = (first & 1) === 0 && [first, ...rest].some((byte) => byte !== 0);
  if (!isUsable) throw new DecodeError(`VtepMAC ${mac} is not the address of one device`);
  return mac;
}

/** What a lease says of its node. A node of flannel's is known by its address. */
export function nodeOfLease({ metadata, value }: SubnetLease): Node {
  const { uid, resourceVersion, name } = metadata;
  const subnets = parseSubnetKey(name) ?? [];
  return {
    metadata: {
      name: value.nodeName ?? value.addresses[0] ?? name,
      namespace: '',
      uid,
      resourceVersion,
    },
    spec: { podCIDRs: subnets.flatMap((cidr) => cidr ?? []) },
    status: { addresses: value.addresses.map((address) => ({ type: 'InternalIP', address })) },
    tunnelMac: value.mac,
    hasTunnelPerFamily: value.nodeName === undefined,
  };
}

export interface OwnNode {
  readonly nodeName: string;
  /** By which other nodes reach it. */
  readonly addresses: Partial<Readonly<Record<IPFamily, IP>>>;
}

/** The value of this node's lease, which nodes of flannel read too. */
export function leaseValue(
  { nodeName, addresses }: OwnNode,
  { backendType, vni, pools }: NetworkConfig,
): string {
  const data = { VNI: vni, VtepMAC: tunnelMac(nodeName) };
  const isTunnelled = backendType === 'vxlan';
  return JSON.stringify({
    PublicIP: addresses[4],
    PublicIPv6: addresses[6] ?? null,
    BackendType: backendType,
    ...(isTunnelled ? { BackendData: data } : {}),
    // A node of flannel's takes no lease of both families without it.
    ...(isTunnelled && pools[6] !== undefined ? { BackendV6Data: data } : {}),
    NodeName: nodeName,
  });
}

/** Whether a lease is this node's: by its name, or as flannel's by its address. */
export function isOwnLease(value: SubnetLease['value'], { nodeName, addresses }: OwnNode): boolean {
  if (value.nodeName !== undefined) return value.nodeName === nodeName;
  return value.addresses.some((text) => {
    const ip = tryParseIP(text);
    return ip !== undefined && addresses[ipFamily(ip)] === ip;
  });
}
