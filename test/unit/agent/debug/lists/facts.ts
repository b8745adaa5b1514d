/** Facts for tests of lists. */
import type { AttachmentRecord } from '../../../../../src/cni/attachment-records.ts';
import { parseIP } from '../../../../../src/net/ip.ts';

export const START_MS = Date.parse('2030-01-02T03:04:05Z');

/** The record of an interface of `namespace/name`, made so many seconds after the start. */
export function recordOf(
  container: string,
  pod: string,
  ips: readonly string[],
  { ifName = 'eth0', network = 'weft', afterSeconds = 0 } = {},
): AttachmentRecord {
  const [podNamespace = '', podName = ''] = pod.split('/');
  return {
    attachment: { network, containerId: container, ifName },
    netns: { path: '/run/netns/x', id: '1:2' },
    pod: pod === '' ? {} : { podNamespace, podName, podUid: `uid-of-${podName}` },
    addresses: ips.map(parseIP),
    bootId: 'boot',
    createdAtMs: START_MS + afterSeconds * 1000,
  };
}
