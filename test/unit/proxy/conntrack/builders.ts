/** Flows and resolved Services for tests of conntrack. */
import type { Flow } from '../../../../src/kernel/types.ts';
import type { EndpointSlice, Service } from '../../../../src/kube/types.ts';
import { type IPFamily, ipFamily, parseIP } from '../../../../src/net/ip.ts';
import { FrontendClaims } from '../../../../src/proxy/claims.ts';
import { parseSlice } from '../../../../src/proxy/endpoints.ts';
import { parseService } from '../../../../src/proxy/service.ts';
import { type ResolvedPort, resolvePort } from '../../../../src/proxy/state.ts';

const NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;
const IPS_SEEN_REPLY = 1 << 1;
const IPS_DST_NAT = 1 << 5;

/** What the sync would program for one Service. */
export function resolved(
  object: Service,
  slices: readonly EndpointSlice[],
  family: IPFamily = 4,
): readonly ResolvedPort[] {
  const entry = parseService(object).get(family);
  const claims = new FrontendClaims();
  claims.update([], entry);
  const records = slices.flatMap((slice) => {
    const parsed = parseSlice(slice, 'node-a');
    return parsed?.family === family ? parsed.record : [];
  });
  const node = { nodeName: 'node-a', zone: undefined, nodeIP: undefined };
  return (entry?.ports ?? []).map((port) => resolvePort(port, records, claims, node));
}

/**
 * A flow from 10.9.9.9 (or its twin); `to` and `by` are `ip port`. Without `by` not translated; answered
 * all the same if so said.
 */
export function flow(
  protocol: keyof typeof NUMBERS,
  to: string,
  by = to,
  isAnswered = to !== by,
): Flow {
  const [destination, destinationPort] = endpoint(to);
  const [source, sourcePort] = endpoint(by);
  const client = parseIP(ipFamily(destination) === 4 ? '10.9.9.9' : 'fd00:9::9');
  const key = { family: ipFamily(destination), tuple: Buffer.alloc(0) } as const;
  return {
    family: key.family,
    protocol: NUMBERS[protocol],
    original: { source: client, sourcePort: 4000, destination, destinationPort },
    reply: { source, sourcePort, destination: client, destinationPort: 4000 },
    status: (to === by ? 0 : IPS_DST_NAT) | (isAnswered ? IPS_SEEN_REPLY : 0),
    mark: 0,
    key: { ...key, id: undefined, zone: undefined },
  };
}

function endpoint(text: string) {
  const [ip = '', port = ''] = text.split(' ');
  return [parseIP(ip), Number(port)] as const;
}
