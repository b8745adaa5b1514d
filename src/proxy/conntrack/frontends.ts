/**
 * Which flows of Services are stale. Conntrack keeps a UDP flow on the endpoint it began with, or on
 * the bare frontend if there was none, for as long as packets come. As in kube-proxy's
 * pkg/proxy/conntrack/cleanup.go a flow to a known frontend is stale when none of its endpoints
 * answers it. Unlike there, so is one that was led to an endpoint of a frontend that has none left,
 * or that is gone: a pod that gets the endpoint's address next is not to hear a stranger.
 */
import type { Flow } from '../../kernel/types.ts';
import type { IP } from '../../net/ip.ts';
import { type Frontend, frontendKey } from '../claims.ts';
import type { Endpoint } from '../endpoints.ts';
import type { ResolvedPort } from '../state.ts';

/** The protocols whose flows can be stale. SCTP associations find out by themselves. */
export type SweptProtocol = 'udp' | 'tcp';

/** A frontend as far as its flows go. */
export interface FlowFrontend {
  readonly service: string;
  readonly frontend: Frontend;
  /** `ip port` of every endpoint whose flows may go on. */
  readonly endpoints: ReadonlySet<string>;
}

/** nf_conntrack_common.h */
const IPS_DST_NAT = 1 << 5;

export const PROTOCOL_NUMBERS: Readonly<Record<SweptProtocol, number>> = { tcp: 6, udp: 17 };

/**
 * The frontends of ServicePorts whose flows are looked after. A UDP flow may stay where an endpoint
 * serves, even if it is terminating, whatever policies and topology say of new flows; a TCP
 * connection wherever an endpoint is listed, as what is not ready may well finish what it began.
 */
export function flowFrontends(
  ports: readonly ResolvedPort[],
  protocols: ReadonlySet<string>,
): readonly FlowFrontend[] {
  return ports.flatMap(({ port, frontends, endpoints }) => {
    if (!protocols.has(port.protocol)) return [];
    const keeping = endpoints.filter(
      ({ target }) => port.protocol === 'tcp' || target.isReady || target.isServing,
    );
    const names = new Set(keeping.map(endpointKey));
    return frontends.map(({ frontend }) => ({
      service: port.service,
      frontend,
      endpoints: names,
    }));
  });
}

/**
 * Whether a change of a frontend can have made flows stale: it is new, it had no endpoint, or it
 * lost one. More endpoints make nothing stale.
 */
export function canStrand(before: FlowFrontend | undefined, after: FlowFrontend): boolean {
  if (before === undefined || before.endpoints.size === 0) return after.endpoints.size > 0;
  for (const endpoint of before.endpoints) if (!after.endpoints.has(endpoint)) return true;
  return false;
}

/**
 * The frontend a flow was sent to. To a NodePort only if its destination accepts them: somebody
 * else's server may listen on that port.
 */
export function frontendOfFlow<T>(
  { protocol, original }: Flow,
  frontends: { get(key: string): T | undefined },
  acceptsNodePorts: (ip: IP) => boolean,
): T | undefined {
  const name = protocolName(protocol);
  const { destination, destinationPort } = original;
  if (name === undefined || destinationPort === undefined) return undefined;
  const portKey = `${name} ${destinationPort}`;
  const found = frontends.get(`${destination} ${portKey}`);
  if (found !== undefined) return found;
  const nodePort = frontends.get(portKey);
  return nodePort !== undefined && acceptsNodePorts(destination) ? nodePort : undefined;
}

/**
 * Whether a flow to this frontend is answered by none of its endpoints. A TCP connection, and any
 * flow while there are no endpoints, counts only if it was led to one: what went out to a load
 * balancer's own address may work there.
 */
export function isStranded(flow: Flow, { endpoints }: FlowFrontend): boolean {
  const wasLed = (flow.status & IPS_DST_NAT) !== 0;
  if (!wasLed && (flow.protocol === PROTOCOL_NUMBERS.tcp || endpoints.size === 0)) return false;
  return !endpoints.has(answererOf(flow));
}

/** Whether a UDP flow was led to one of these endpoints; a TCP connection may end by itself. */
export function wasLedTo(flow: Flow, endpoints: ReadonlySet<string>): boolean {
  const isLed = flow.protocol === PROTOCOL_NUMBERS.udp && (flow.status & IPS_DST_NAT) !== 0;
  return isLed && endpoints.has(answererOf(flow));
}

function answererOf({ reply }: Flow): string {
  return `${reply.source} ${reply.sourcePort}`;
}

/** The identity of the frontend in one address family. */
export function flowFrontendKey({ frontend }: FlowFrontend): string {
  return frontendKey(frontend);
}

function endpointKey({ target, port }: Endpoint): string {
  return `${target.ip} ${port}`;
}

function protocolName(number: number): SweptProtocol | undefined {
  if (number === PROTOCOL_NUMBERS.udp) return 'udp';
  return number === PROTOCOL_NUMBERS.tcp ? 'tcp' : undefined;
}
