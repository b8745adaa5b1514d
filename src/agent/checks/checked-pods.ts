import type { AttachmentRecords } from '../../cni/attachment-records.ts';
import type { CheckedPod } from './checked-node.ts';

/** Pods of this node that the CNI plugins have connected, as they are on record. */
export function checkedPods(records: AttachmentRecords): readonly CheckedPod[] {
  return records.list().flatMap(({ attachment, pod, addresses, plan }) => {
    if (plan === undefined || addresses.length === 0) return [];
    const { podNamespace, podName } = pod;
    const name =
      podName === undefined ? attachment.containerId : `${podNamespace ?? 'default'}/${podName}`;
    return [{ name, addresses, bridge: plan.bridge.name, isIsolated: plan.sameNode !== undefined }];
  });
}
