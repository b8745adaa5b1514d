/** Records of pods that no CNI call has made: namespaces of a lab, as the agent would know them. */

import type { AttachmentEntry } from '../../src/cni/attachment-records.ts';
import { readBootId } from '../../src/cni/machine.ts';
import { openRecords } from '../../src/cni/upkeep/records.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { parseIPWithPrefix } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import { parseMac } from '../../src/net/mac.ts';
import type { TestNetns } from './netns.ts';

export interface RecordedPod {
  /** Of namespace `default`. */
  readonly name: string;
  readonly netns: TestNetns;
  /** With prefix lengths. */
  readonly addresses: readonly string[];
  readonly bridge: string;
  readonly hostLink: string;
}

export function recordPod(runDir: string, pod: RecordedPod): void {
  const { name, netns, addresses, bridge, hostLink } = pod;
  const records = openRecords(`${runDir}/attachments`, {
    bootId: readBootId,
    now: () => Date.now(),
  });
  const mac = parseMac('02:00:00:00:00:01');
  const open = netnses.open(netns.path);
  const entry: AttachmentEntry = {
    attachment: { network: 'lab', containerId: name, ifName: 'eth0' },
    netns: { path: netns.path, id: open.id },
    pod: { podNamespace: 'default', podName: name },
    addresses: addresses.map((text) => parseIP(text.replace(/\/.*/, ''))),
    plan: {
      label: name,
      bridge: {
        ...{ name: bridge, mac, isPromiscuous: false, filtersVlans: false, sysctls: [] },
        ...{ addresses: [], mayReplaceAddresses: false },
      },
      host: {
        ...{ name: hostLink, mac, hairpin: true, isolated: false, vlans: [] },
        ...{ keepsDefaultVlan: true, sysctls: [] },
      },
      forwarding: [],
      masquerade: [],
    },
    inside: { addresses: addresses.map(parseIPWithPrefix), routes: [] },
  };
  open.close();
  records.write(entry);
}
