/** A denied packet, as people want it told: who, to whom, and by which policy. */
import type { Flow, PortTuple } from '../../kernel/types.ts';
import type { Direction } from '../../kube/policy/types.ts';
import type { IP } from '../../net/ip.ts';
import type { LoggedPacket } from '../../netlink/nflog/logged-packet.ts';
import type { PacketHeaders } from '../../netlink/packet-headers.ts';
import type { Finding, Verdict } from '../../policy/evaluator.ts';
import { partyName } from '../../policy/parties.ts';
import type { Traffic } from '../../policy/ports.ts';
import { verdictText } from '../../policy/verdict-text.ts';
import type { PolicyWorld } from '../../policy/world.ts';

export interface Denial {
  /** `namespace/name` of a pod, `node/name`, or the address of somebody else. */
  readonly from: string;
  readonly fromIP: IP;
  readonly to: string;
  readonly toIP: IP;
  /** `IP 47` for a protocol that policies do not name. */
  readonly protocol: string;
  /** 0 where the protocol has none, or a fragment does not tell. */
  readonly port: number;
  /** Whose side denied it; the source's is asked first. */
  readonly direction: Direction;
  /** The pod of that side. */
  readonly pod: string | undefined;
  /** The one that decided, or those that isolate the pod: `NetworkPolicy shop/db`. */
  readonly policies: readonly string[];
  readonly reason: string;
}

/** A connection by its first packet, or what is known of it by a later one. */
export interface Attempt {
  readonly source: IP;
  readonly destination: IP;
  /** IP protocol number. */
  readonly protocol: number;
  readonly port: number;
}

const PROTOCOLS: ReadonlyMap<number, Traffic['protocol']> = new Map([
  ...([1, 58] as const).map((number) => [number, 'ICMP'] as const),
  [6, 'TCP'],
  [17, 'UDP'],
  [132, 'SCTP'],
]);
/** Echo replies of ICMP and ICMPv6. */
const ICMP_REPLIES: readonly (number | undefined)[] = [0, 129];

/**
 * The connection that a packet begins or belongs to, its destination as it is after DNAT. A packet of
 * a connection that is known may come from the side that answers; `flowOf` finds it.
 */
export function attemptOf(
  headers: PacketHeaders,
  flowOf: (packet: PortTuple) => Flow | undefined,
): Attempt {
  const { source, destination, protocol, ports, icmp } = headers;
  if (ICMP_REPLIES.includes(icmp?.type)) {
    return { source: destination, destination: source, protocol, port: 0 };
  }
  if (ports === undefined) return { source, destination, protocol, port: 0 };
  const { source: sourcePort, destination: destinationPort } = ports;
  const flow = flowOf({ source, destination, protocol, sourcePort, destinationPort });
  if (flow === undefined) return { source, destination, protocol, port: destinationPort };
  return {
    source: flow.original.source,
    destination: flow.reply.source,
    protocol,
    port: flow.reply.sourcePort ?? destinationPort,
  };
}

/** Tells an attempt by the policies of now, which may be newer than those that denied it. */
export function denialOf(
  attempt: Attempt,
  { family }: Pick<PacketHeaders, 'family'>,
  prefix: LoggedPacket['prefix'],
  { parties, evaluator }: PolicyWorld,
): Denial {
  const { source, destination, port } = attempt;
  const from = parties.at(source);
  const to = parties.at(destination);
  const known = PROTOCOLS.get(attempt.protocol);
  // To policies every protocol that they do not name is alike.
  const verdict = evaluator.verdict({ from, to, family, port, protocol: known ?? 'ICMP' });
  const direction = directionOf(verdict, prefix);
  const subject = direction === 'egress' ? from : to;
  const names = { from: partyName(from, source), to: partyName(to, destination) };
  const told = { ...names, protocol: known ?? `IP ${attempt.protocol}`, port };
  return {
    ...told,
    fromIP: source,
    toIP: destination,
    direction,
    pod: subject.kind === 'pod' ? subject.key : undefined,
    policies: policiesOf(verdict[direction]),
    reason: reasonOf(verdict, { ...told, protocol: known ?? 'ICMP' }),
  };
}

function directionOf({ egress, ingress }: Verdict, prefix: string): Direction {
  if (!egress.isAllowed) return 'egress';
  if (!ingress.isAllowed) return 'ingress';
  return prefix.endsWith('egress') ? 'egress' : 'ingress';
}

function policiesOf(finding: Finding): readonly string[] {
  if (finding.kind === 'isolated') return finding.policies.map((key) => `NetworkPolicy ${key}`);
  if (finding.kind !== 'rule' || finding.isAllowed) return [];
  const { tier, policy } = finding.by;
  return [`${tier === 'NetworkPolicy' ? tier : 'ClusterNetworkPolicy'} ${policy}`];
}

function reasonOf(verdict: Verdict, question: Parameters<typeof verdictText>[1]): string {
  if (!verdict.isAllowed) return verdictText(verdict, question);
  return 'the policies of now allow it: they changed, or the packet belonged to no connection that could be judged';
}
