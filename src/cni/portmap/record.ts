/** What an attachment publishes on its node, as a value that outlives the call that made it. */

import { addressOf, cidrFamily, networkOf } from '../../net/cidr.ts';
import { formatHostPort } from '../../net/host-port.ts';
import { isLoopback } from '../../net/ip.ts';
import { ConfigError } from '../../util/errors.ts';
import { type Attachment, attachmentLabel, type NetnsPlace } from '../attachment.ts';
import type { HostPort, HostPortRecord, PodAddress } from '../host-ports.ts';
import type { Result, ResultIP } from '../protocol/result.ts';
import type { PortMapping, PortmapConfig } from './config.ts';

/** What a record is made from. */
export interface RecordInput {
  readonly attachment: Attachment;
  readonly netns: NetnsPlace;
  readonly config: PortmapConfig;
  readonly previous: Result;
  /** CNI_ARGS as given. */
  readonly args: string;
}

/**
 * Applies the mappings to the first address of each family that the attachment's interface has. A
 * mapping for a family the pod has no address of is left out, as the reference does. Throws
 * ConfigError when two mappings lead one port to different places.
 */
export function buildRecord(input: RecordInput): HostPortRecord {
  const { attachment, netns, config, previous, args } = input;
  const candidates = podAddresses(previous, attachment.ifName);
  const ports: HostPort[] = [];
  for (const [position, mapping] of config.mappings.entries()) {
    for (const port of portsOf(mapping, candidates)) {
      const condition = config.conditions[port.family];
      addPort(ports, condition === '' ? port : { ...port, condition }, position);
    }
  }
  const pod = podName(args);
  return {
    attachment,
    netns,
    ...(pod === undefined ? {} : { pod }),
    ports,
    pods: candidates.filter(({ address }) => ports.some(({ target }) => target === address)),
    masquerade: config.masquerade,
    ...(config.iptables === undefined ? {} : { iptables: config.iptables }),
  };
}

/** Whether it is to be reached at 127.0.0.1; packets with that source need a source NAT. */
export function usesLoopback({ masquerade, ports }: HostPortRecord): boolean {
  return (
    masquerade !== 'none' &&
    ports.some(
      ({ family, address }) => family === 4 && (address === undefined || isLoopback(address)),
    )
  );
}

/** The first address of each family of an interface in the pod. */
function podAddresses(previous: Result, ifName: string): readonly PodAddress[] {
  return ([4, 6] as const).flatMap((family) => {
    const found = previous.ips.find(
      (ip) => cidrFamily(ip.address) === family && isOnInterface(ip, previous, ifName),
    );
    if (found === undefined) return [];
    return [{ address: addressOf(found.address), subnet: networkOf(found.address) }];
  });
}

/** Whether one packet may be for both, as far as addresses and conditions tell by being different ones. */
export function overlaps(a: PortPlace, b: PortPlace): boolean {
  const isSame = (key: keyof PortPlace) =>
    a[key] === undefined || b[key] === undefined || a[key] === b[key];
  return isSame('address') && isSame('condition');
}

/** What tells owners of one port number apart. */
export type PortPlace = Pick<HostPort, 'address' | 'condition'>;

/** `pod web/front (net/<container>/eth0)`, or what stands in brackets. */
export function ownerText({ attachment, pod }: Pick<HostPortRecord, 'attachment' | 'pod'>): string {
  const label = attachmentLabel(attachment);
  return pod === undefined ? label : `pod ${pod} (${label})`;
}

/** `8080/tcp`, `192.168.0.1:8080/tcp`, `[fd00::1]:8080/tcp`. */
export function portText({ protocol, port, address }: HostPort): string {
  return `${address === undefined ? port : formatHostPort(address, port)}/${protocol}`;
}

/** An index that leads nowhere, and none at all, count as the interface (versions below 0.3.0). */
function isOnInterface({ interface: index }: ResultIP, result: Result, ifName: string): boolean {
  const link = index === undefined ? undefined : result.interfaces[index];
  return link === undefined || (link.name === ifName && (link.sandbox ?? '') !== '');
}

function portsOf(mapping: PortMapping, candidates: readonly PodAddress[]): readonly HostPort[] {
  const { families, protocol, hostPort, containerPort, hostIP } = mapping;
  return families.flatMap((family) => {
    const pod = candidates.find(({ subnet }) => cidrFamily(subnet) === family);
    if (pod === undefined) return [];
    const to = { target: pod.address, targetPort: containerPort };
    const from = { family, protocol, port: hostPort };
    return [hostIP === undefined ? { ...from, ...to } : { ...from, address: hostIP, ...to }];
  });
}

function addPort(ports: HostPort[], port: HostPort, position: number): void {
  const same = ports.find(
    (known) =>
      known.family === port.family &&
      known.protocol === port.protocol &&
      known.port === port.port &&
      known.address === port.address,
  );
  if (same === undefined) {
    ports.push(port);
  } else if (same.targetPort !== port.targetPort) {
    throw new ConfigError(
      `runtimeConfig.portMappings[${position}]`,
      `host port ${portText(port)} leads to ${same.targetPort} and to ${port.targetPort}`,
    );
  }
}

/** For messages only, so a malformed CNI_ARGS is nobody's error here. */
function podName(args: string): string | undefined {
  const value = (key: string) => new RegExp(`(?:^|;)${key}=([^;=]+)`).exec(args)?.[1];
  const name = value('K8S_POD_NAME');
  if (name === undefined) return undefined;
  return `${value('K8S_POD_NAMESPACE') ?? 'default'}/${name}`;
}
