/**
 * Connection tracking of host ports. NAT is decided by a flow's first packet; UDP and SCTP flows that
 * go on while a pod is replaced would keep leading to the old pod, or to nobody.
 */

import type { Conntrack, Flow } from '../../kernel/types.ts';
import { containsIP, parseCidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import { errorCode } from '../../util/errors.ts';
import type { HostPort, HostPortRecord, PortProtocol } from '../host-ports.ts';
import { type CniKernel, withRtnl } from '../node.ts';

/** Protocols without a handshake that would begin a new flow, by number. */
const PROTOCOL_NUMBERS: ReadonlyMap<PortProtocol, number> = new Map([
  ['udp', 17],
  ['sctp', 132],
]);

const LOOPBACK = parseCidr('127.0.0.0/8');

/** After the ports were published: flows to them that lead elsewhere begin anew. */
export function endStaleFlows(kernel: CniKernel, { ports }: HostPortRecord): void {
  let nodeAddresses: ReadonlySet<IP> | undefined;
  const isNodeAddress = (address: IP) => {
    nodeAddresses ??= readNodeAddresses(kernel);
    return nodeAddresses.has(address) || containsIP(LOOPBACK, address);
  };
  endFlows(kernel, ports, (flow, port) => {
    const { destination } = flow.original;
    if (isLedTo(flow, port)) return false;
    return port.address === undefined ? isNodeAddress(destination) : destination === port.address;
  });
}

/** After the ports were withdrawn: flows that they led to the pod end. */
export function endLedFlows(kernel: CniKernel, { ports }: HostPortRecord): void {
  endFlows(kernel, ports, isLedTo);
}

function endFlows(
  kernel: CniKernel,
  ports: readonly HostPort[],
  isWanted: (flow: Flow, port: HostPort) => boolean,
): void {
  const affected = ports.filter(({ protocol }) => PROTOCOL_NUMBERS.has(protocol));
  if (affected.length === 0) return;
  const conntrack = kernel.openConntrack();
  try {
    for (const port of affected) endFlowsOf(conntrack, port, (flow) => isWanted(flow, port));
  } finally {
    conntrack.close();
  }
}

function endFlowsOf(conntrack: Conntrack, port: HostPort, isWanted: (flow: Flow) => boolean): void {
  const protocol = PROTOCOL_NUMBERS.get(port.protocol);
  if (protocol === undefined) return;
  const original = { destinationPort: port.port };
  try {
    conntrack.deleteFlows({ family: port.family, protocol, original }, isWanted);
  } catch (thrown) {
    // nfnetlink knows no such subsystem: without nf_conntrack_netlink flows cannot be ended, and a
    // pod is not refused for it.
    if (errorCode(thrown) !== 'EINVAL') throw thrown;
  }
}

function isLedTo({ original, reply }: Flow, { target, targetPort }: HostPort): boolean {
  const isTranslated = original.destination !== reply.source;
  return isTranslated && reply.source === target && reply.sourcePort === targetPort;
}

function readNodeAddresses(kernel: CniKernel): ReadonlySet<IP> {
  return withRtnl(
    kernel,
    undefined,
    (rtnl) => new Set(rtnl.addresses().map(({ address }) => address)),
  );
}
