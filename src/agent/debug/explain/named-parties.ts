/** Who a name belongs to: by the policies' objects, the CNI's records and the fabric's Nodes. Pure. */
import type { PlannedPeer } from '../../../fabric/plan.ts';
import type { IP } from '../../../net/ip.ts';
import type { Parties } from '../../../policy/parties.ts';
import type { NamedParty } from '../named-packet.ts';
import type { LocalPod } from './node-facts.ts';

export interface NamedSources {
  /** Undefined: the agent enforces no policies. */
  readonly parties: Parties | undefined;
  readonly nodeName: string;
  readonly localAddresses: readonly IP[];
  readonly pods: readonly LocalPod[];
  readonly peers: readonly PlannedPeer[];
}

const NODE = 'node/';

export function partyNamed(name: string, sources: NamedSources): NamedParty | undefined {
  const party = sources.parties?.resolve(name);
  if (party !== undefined && !('problem' in party)) {
    return { ips: party.ips, ports: party.kind === 'pod' ? party.ports : [] };
  }
  const ips = name.startsWith(NODE)
    ? nodeAddresses(name.slice(NODE.length), sources)
    : sources.pods.filter((pod) => pod.name === name).flatMap((pod) => pod.ips);
  return ips.length === 0 ? undefined : { ips, ports: [] };
}

function nodeAddresses(name: string, { nodeName, localAddresses, peers }: NamedSources) {
  if (name !== nodeName) return peers.find((peer) => peer.name === name)?.addresses ?? [];
  return localAddresses.filter(
    (ip) => !ip.startsWith('127.') && ip !== '::1' && !/^fe80:/.test(ip),
  );
}
