/** Which flows somebody wants: pure. */
import type { FlowFilter } from '../../kernel/types.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import type { FlowEvent, FlowParty, FlowQuery } from './flow-event.ts';
import type { FlowNames, NamedFrontend } from './flow-names.ts';

const FAMILIES: readonly IPFamily[] = [4, 6];

/** Whether an event is one that is asked for; `nodeName` is this node's. */
export function matchesQuery(query: FlowQuery, event: FlowEvent, nodeName: string): boolean {
  const { pod, service, namespace, isNode, isDropped } = query;
  if (isDropped === true && !hasComeToNothing(event)) return false;
  const parties =
    event.endpoint === undefined ? [event.from, event.to] : [event.from, event.to, event.endpoint];
  if (isNode === true) {
    if (!parties.some(({ node }) => node === nodeName)) return false;
  } else if (isAmongNodes(event)) {
    return false;
  }
  return (
    (pod === undefined || parties.some((party) => party.pod === pod)) &&
    (service === undefined || parties.some((party) => serviceOf(party) === service)) &&
    (namespace === undefined || parties.some((party) => isIn(party, namespace)))
  );
}

/** Nobody got an answer that was meant for him. */
function hasComeToNothing({ verdict }: FlowEvent): boolean {
  return verdict !== 'established' && verdict !== 'begun';
}

/** No pod and no Service has a part in it. */
function isAmongNodes({ from, to, endpoint }: FlowEvent): boolean {
  const isOnlyNode = ({ node, pod, service }: FlowParty) =>
    node !== undefined && pod === undefined && service === undefined;
  return isOnlyNode(from) && isOnlyNode(to) && (endpoint === undefined || isOnlyNode(endpoint));
}

/** The Service of a port's name, `namespace/name`. */
function serviceOf({ service }: FlowParty): string | undefined {
  return service?.split(':', 1)[0];
}

function isIn({ pod, service }: FlowParty, namespace: string): boolean {
  const prefix = `${namespace}/`;
  return pod?.startsWith(prefix) === true || service?.startsWith(prefix) === true;
}

/**
 * What the kernel is asked for: of a pod or a Service it compares addresses and ports, so that a large
 * table is searched and not copied. More may come than is wanted, and one connection by several of them.
 */
export function listingFilters(
  { pod, service }: FlowQuery,
  names: FlowNames,
): readonly FlowFilter[] {
  if (pod !== undefined) return names.addressesOf(pod).flatMap(filtersOfPod);
  if (service !== undefined) return [...names.frontendsOf(service)].flatMap(filtersOfFrontend);
  return FAMILIES.map((family) => ({ family }));
}

function filtersOfPod(ip: IP): readonly FlowFilter[] {
  const family = ipFamily(ip);
  return [
    { family, original: { source: ip } },
    { family, reply: { source: ip } },
  ];
}

function filtersOfFrontend({ ip, protocol, port }: NamedFrontend): readonly FlowFilter[] {
  if (ip === undefined) {
    return FAMILIES.map((family) => ({ family, protocol, original: { destinationPort: port } }));
  }
  const original = { destination: ip, destinationPort: port };
  return [{ family: ipFamily(ip), protocol, original }];
}
