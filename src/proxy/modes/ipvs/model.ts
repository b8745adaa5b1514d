/** What the IPVS mode wants of the kernel, as plain values. */
import type { Destination, VirtualServerKey } from '../../../kernel/ipvs-types.ts';
import type { IP } from '../../../net/ip.ts';
import type { Protocol } from '../../service.ts';
import type { Scheduling } from './schedulers.ts';
import type { SetEntry } from './sets.ts';

/** Where clients reach a Service: an address of its own, or one of the node's with a NodePort. */
export interface Portal {
  readonly ip: IP;
  readonly protocol: Protocol;
  readonly port: number;
}

/** A virtual server with its destinations. */
export interface WantedServer {
  readonly portal: Portal;
  /** The best first; the last one is what is configured for all. */
  readonly schedulings: readonly Scheduling[];
  /** 0: clients are not bound to a destination. */
  readonly persistenceSeconds: number;
  readonly destinations: readonly Destination[];
  /** A frontend that names its address comes before a NodePort on the same. */
  readonly isNodePort: boolean;
}

/** What one ServicePort, or one Service, adds. */
export interface IpvsPart {
  readonly servers: readonly WantedServer[];
  readonly entries: readonly SetEntry[];
  /** Addresses that this node has to accept packets for. */
  readonly addresses: readonly IP[];
}

/** `tcp 172.30.0.1 80` */
export function portalKey({ ip, protocol, port }: Portal): string {
  return `${protocol} ${ip} ${port}`;
}

export function serverKeyOf({ ip, protocol, port }: Portal): VirtualServerKey {
  return { kind: 'address', ip, protocol, port };
}

/** Of a virtual server at an address; those of marks are never the proxy's. */
export function portalOf(key: VirtualServerKey): Portal {
  if (key.kind === 'mark') throw new Error(`virtual server of mark ${key.mark}`);
  const { ip, protocol, port } = key;
  return { ip, protocol, port };
}
