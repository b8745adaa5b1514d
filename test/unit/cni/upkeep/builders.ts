import { type Attachment, attachmentLabel, hostVethName } from '../../../../src/cni/attachment.ts';
import type { AttachmentRecord } from '../../../../src/cni/attachment-records.ts';
import type { NodePlan } from '../../../../src/cni/node-plan.ts';
import { parseCidr, parseIPWithPrefix } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { parseMac } from '../../../../src/net/mac.ts';

/** What an attachment with one IPv4 address on bridge cni0 needs of the node. */
export function planOf(attachment: Attachment): NodePlan {
  return {
    label: attachmentLabel(attachment),
    bridge: {
      name: 'cni0',
      mac: parseMac('02:00:00:00:00:01'),
      isPromiscuous: false,
      filtersVlans: false,
      addresses: [parseIPWithPrefix('10.0.0.1/24')],
      mayReplaceAddresses: false,
      sysctls: [],
    },
    host: {
      name: hostVethName(attachment),
      mac: parseMac('02:00:00:00:00:02'),
      hairpin: false,
      isolated: false,
      vlans: [],
      keepsDefaultVlan: false,
      sysctls: [],
    },
    forwarding: [{ path: 'net/ipv4/ip_forward', value: '1' }],
    masquerade: [{ address: parseIP('10.0.0.2'), subnet: parseCidr('10.0.0.0/24') }],
  };
}

export function recordOf(attachment: Attachment): AttachmentRecord {
  return {
    attachment,
    netns: { path: '/run/netns/a', id: '4:4026532000' },
    pod: {},
    addresses: [parseIP('10.0.0.2')],
    ipam: { type: 'host-local' },
    plan: planOf(attachment),
    bootId: 'boot',
    createdAtMs: 1_700_000_000_000,
  };
}
