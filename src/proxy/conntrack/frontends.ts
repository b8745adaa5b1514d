/**
 * Which flows of Services are stale. Conntrack keeps a UDP flow on the endpoint it began with, or on
 * the bare frontend if there was none, for as long as packets come; so it does for two minutes with
 * the SYN of a TCP connection that came before its Service. As in kube-proxy's
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
  /** `ip port` of every endpoint whose flows may go on; of TCP that ends by itself only whether there is one. */
  readonly endpoints: ReadonlySet<string>;
}

/** nf_conntrack_common.h */
export const IPS_SEEN_REPLY = 1 << 1;
const IPS_DST_NAT = 1 << 5;

const SOMEBODY: ReadonlySet<string> = new Set(['']);
const NOBODY: ReadonlySet<string> = new Set();

export const PROTOCOL_NUMBERS: Readonly<Record<SweptProtocol, number>> = { tcp: 6, udp: 17 };

/**
 * The frontends of ServicePorts whose flows are looked after. A UDP flow may stay where an endpoint
 * serves, even if it is terminating, whatever policies and topology say of new flows; a TCP
 * connection wherever an endpoint is listed, as what is not ready may well finish what it began.
 */
export function flowFrontends(
  ports: readonly ResolvedPort[],
  endsLedTcp: boolean,
): readonly FlowFrontend[] {
  return ports.flatMap(({ port, frontends, endpoints }) => {
    if (port.protocol === 'sctp') return [];
    const keeping = endpoints.filter(
      ({ target }) => port.protocol === 'tcp' || target.isReady || target.isServing,
    );
    const endsByItself = port.protocol === 'tcp' && !endsLedTcp;
    const names = endsByItself ? anyOf(keeping) : new Set(keeping.map(endpointKey));
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
 * Whether a flow to this frontend is answered by none of its endpoints. What was not led to one goes only
 * where there is one now, a TCP connection only if nobody has answered at all: what went out to a load
 * balancer's own address may work there.
 */
export function isStranded(flow: Flow, { endpoints }: FlowFrontend, endsLedTcp: boolean): boolean {
  const isTcp = flow.protocol === PROTOCOL_NUMBERS.tcp;
  if ((flow.status & IPS_DST_NAT) !== 0) {
    return (!isTcp || endsLedTcp) && !endpoints.has(answererOf(flow));
  }
  if (endpoints.size === 0 || (isTcp && (flow.status & IPS_SEEN_REPLY) !== 0)) return false;
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

function anyOf(endpoints: readonly Endpoint[]): ReadonlySet<string> {
  return endpoints.length > 0 ? SOMEBODY : NOBODY;
}

function endpointKey({ target, port }: Endpoint): string {
  return `${target.ip} ${port}`;
}

function protocolName(number: number): SweptProtocol | undefined {
  if (number === PROTOCOL_NUMBERS.udp) return 'udp';
  return number === PROTOCOL_NUMBERS.tcp ? 'tcp' : undefined;
}
