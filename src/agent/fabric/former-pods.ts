/** Pods from before a change of podCIDRs or of the MTU: they are told of, and never changed. */
import type { AttachmentRecord } from '../../cni/attachment-records.ts';
import { containsIP } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import { summarized } from '../../util/complaints.ts';
import { NETWORK_NAME } from './conflist.ts';
import type { FabricFacts } from './facts.ts';

export type PodRecord = Pick<AttachmentRecord, 'attachment' | 'pod' | 'addresses'> & {
  readonly plan?: { readonly bridge: { readonly mtu?: number | 'auto' } };
};

export interface FormerPods {
  /** With an address that no podCIDR of the node holds: other nodes have no route to it. */
  readonly outside: readonly PodRecord[];
  /** With interfaces that take larger packets than the fabric carries. */
  readonly tooLarge: readonly PodRecord[];
}

/** Of our network alone: what others give out is not the fabric's to reach. */
export function findFormerPods(
  records: readonly PodRecord[],
  { podCIDRs, mtu }: Pick<FabricFacts, 'podCIDRs' | 'mtu'>,
): FormerPods {
  const ours = records.filter(({ attachment }) => attachment.network === NETWORK_NAME);
  const isOutside = (address: IP) => !podCIDRs.some((cidr) => containsIP(cidr, address));
  return {
    outside: ours.filter(({ addresses }) => addresses.some(isOutside)),
    tooLarge: ours.filter(({ plan }) => {
      const planned = plan?.bridge.mtu;
      return typeof planned === 'number' && planned > mtu;
    }),
  };
}

/** In words, each with its cure; nothing for none. */
export function formerPodProblems(
  { outside, tooLarge }: FormerPods,
  { podCIDRs, mtu }: Pick<FabricFacts, 'podCIDRs' | 'mtu'>,
): readonly string[] {
  const cure = 'delete them, whoever owns them makes new ones';
  const networks = podCIDRs.join(', ');
  return [
    ...(outside.length === 0
      ? []
      : [
          `pods with addresses outside of podCIDRs ${networks}, which other nodes do not reach: ` +
            `${named(outside)}; ${cure}`,
        ]),
    ...(tooLarge.length === 0
      ? []
      : [
          `pods with an MTU above ${mtu}, whose large packets to other nodes may be lost: ` +
            `${named(tooLarge)}; ${cure}`,
        ]),
  ];
}

function named(pods: readonly PodRecord[]): string {
  return summarized(pods.map(nameOf)).join(', ');
}

function nameOf({ attachment, pod, addresses }: PodRecord): string {
  const { podNamespace = '', podName = attachment.containerId.slice(0, 13) } = pod;
  const name = podNamespace === '' ? podName : `${podNamespace}/${podName}`;
  return `${name} (${addresses.join(', ')})`;
}
