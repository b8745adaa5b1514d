import { hostCidr } from '../../../net/cidr.ts';
import { ipFamily } from '../../../net/ip.ts';
import { toError } from '../../../util/errors.ts';
import { type FilterTable, foreignDrops, type PodPlace } from '../../foreign/drops.ts';
import type { CheckedNode } from '../checked-node.ts';
import type { ForeignFacts } from '../foreign-rules.ts';
import { readUplinks } from './ways.ts';

export async function readForeignFacts(
  node: CheckedNode,
  read: () => Promise<readonly FilterTable[]>,
): Promise<ForeignFacts> {
  const masquerades = node.agent?.fabric?.masquerades;
  try {
    const pods = placesOf(node);
    const drops = pods.length === 0 ? undefined : foreignDrops(await read(), pods);
    return { drops, masquerades };
  } catch (thrown) {
    return { drops: { unread: toError(thrown).message }, masquerades };
  }
}

/** One pod of each bridge and set of families: the others are treated alike. Without pods, those that may come. */
function placesOf({ pods, agent }: CheckedNode): readonly PodPlace[] {
  const uplinks = readUplinks(pods).map(({ name }) => name);
  const sample = new Map(
    pods.map((pod) => [`${pod.bridge} ${pod.addresses.map(ipFamily).join()}`, pod] as const),
  );
  const places = [...sample.values()].map(({ name, addresses, bridge }) => {
    return { name: `pod ${name}`, networks: addresses.map(hostCidr), links: [bridge], uplinks };
  });
  const podCIDRs = agent?.podCIDRs ?? [];
  if (places.length > 0 || podCIDRs.length === 0) return places;
  return [{ name: 'any pod', networks: podCIDRs, links: [], uplinks }];
}
