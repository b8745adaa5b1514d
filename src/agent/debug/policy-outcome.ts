import { type IP, ipFamily } from '../../net/ip.ts';
import { partyName } from '../../policy/parties.ts';
import { verdictText } from '../../policy/verdict-text.ts';
import type { PolicyWorld } from '../../policy/world.ts';
import type { Protocol } from '../../proxy/service.ts';
import type { Explanation } from '../../proxy/verdict/explanation.ts';

/** What policies say of one endpoint that a connection may go to. */
export interface PolicyOutcome {
  readonly ip: IP;
  readonly port: number;
  /** `namespace/name` of a pod, `node/name`, or the address. */
  readonly name: string;
  readonly isAllowed: boolean;
  /** With the policy that decides, or those whose rules lack one that allows it. */
  readonly reason: string;
  /** The pod whose policies deny it. */
  readonly deniedBy?: string;
}

const PROTOCOLS: Readonly<Record<Protocol, 'TCP' | 'UDP' | 'SCTP'>> = {
  ...{ tcp: 'TCP', udp: 'UDP', sctp: 'SCTP' },
};

const UNKNOWN = 'the pod there is not known here, and its own node may deny it';

/** Asks the policies about every place that the connection may go to, as it is after DNAT. */
export function policyOutcomes(
  { packet, verdict }: Explanation,
  { parties, evaluator }: PolicyWorld,
): readonly PolicyOutcome[] {
  const from = parties.at(packet.source);
  const protocol = PROTOCOLS[packet.protocol];
  return destinationsOf({ packet, verdict }).map(({ ip, port }) => {
    const to = parties.at(ip);
    const found = evaluator.verdict({ from, to, family: ipFamily(ip), protocol, port });
    const names = { from: partyName(from, packet.source), to: partyName(to, ip) };
    // Pods of other nodes are known only while some policy is about them.
    const isUnknown = verdict.kind === 'dnat' && to.kind === 'address' && found.isAllowed;
    const text = verdictText(found, { ...names, protocol, port });
    const denier = found.egress.isAllowed ? to : from;
    return {
      ip,
      port,
      name: names.to,
      isAllowed: found.isAllowed,
      reason: isUnknown ? `${text}; ${UNKNOWN}` : text,
      ...(!found.isAllowed && denier.kind === 'pod' ? { deniedBy: denier.key } : {}),
    };
  });
}

function destinationsOf({ packet, verdict }: Pick<Explanation, 'packet' | 'verdict'>) {
  if (verdict.kind === 'dnat') return verdict.candidates;
  return verdict.kind === 'pass' ? [{ ip: packet.destination, port: packet.port }] : [];
}
