import { expect, test } from 'vitest';
import { restoreText } from '../../../../../src/iptables/restore-text.ts';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import { formatIpSetEntry } from '../../../../../src/netlink/ipset/entry.ts';
import { setName } from '../../../../../src/proxy/modes/ipvs/sets.ts';
import type { LocalDetector } from '../../../../../src/proxy/node-addresses.ts';
import { FakeIpvsKernel } from '../../../../support/fake-ipvs.ts';
import { programPorts } from '../../../../support/iptables-lab.ts';
import { resolveAll } from '../../../../support/iptables-objects.ts';
import { listedSettings, openIpvsSession } from '../../../../support/ipvs-session.ts';

interface Case {
  readonly name: string;
  readonly family: 4 | 6;
  readonly addresses: readonly string[];
  readonly localDetector?: LocalDetector | undefined;
  readonly masqueradesAll?: boolean;
  readonly isListed?: boolean;
}

const V4 = ['192.168.0.1', '192.168.0.9'];
const CASES: readonly Case[] = [
  { name: 'ipv4', family: 4, addresses: V4 },
  { name: 'ipv6', family: 6, addresses: ['fd00:192::1'] },
  {
    name: 'listed-addresses-by-bridge',
    family: 4,
    addresses: V4,
    isListed: true,
    localDetector: { kind: 'bridge', name: 'br0' },
  },
  {
    name: 'two-networks',
    family: 4,
    addresses: V4,
    localDetector: { kind: 'cidrs', cidrs: ['10.1.0.0/16', '10.2.0.0/16'].map(parseCidr) },
  },
  { name: 'no-detector', family: 4, addresses: V4, localDetector: undefined },
  {
    name: 'masquerade-all',
    family: 6,
    addresses: ['fd00:192::1'],
    localDetector: undefined,
    masqueradesAll: true,
  },
];

/** Everything that a first run leaves in the kernel. */
async function content({ family, addresses, isListed = false, ...row }: Case): Promise<string> {
  const kernel = new FakeIpvsKernel();
  kernel.otherIPs = addresses.map(parseIP);
  const { layout, nodePortIPs } = listedSettings(family, ...addresses.slice(0, 1));
  const settings = {
    layout: {
      ...layout,
      acceptsOnAllAddresses: !isListed,
      localDetector: 'localDetector' in row ? row.localDetector : layout.localDetector,
      masqueradesAll: row.masqueradesAll ?? false,
    },
    nodePortIPs,
  };
  await programPorts(openIpvsSession(kernel), resolveAll(family), settings);
  const entries = [...kernel.entries.values()].map(
    ({ role, entry }) => `${setName(role, family)} ${formatIpSetEntry(entry)}`,
  );
  const rules = kernel.rules.applied.map(restoreText).join('');
  return [...kernel.serverTexts(), '', ...[...kernel.held].sort(), '', ...entries.sort(), '', rules]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

test.each(CASES)('a first run is as in $name', async (row) => {
  await expect(await content(row)).toMatchFileSnapshot(
    `../../../../golden/proxy-ipvs/${row.name}.txt`,
  );
});

test('a second run sends nothing', async () => {
  const kernel = new FakeIpvsKernel();
  const settings = listedSettings(4, '192.168.0.1');
  await programPorts(openIpvsSession(kernel), resolveAll(4), settings);
  kernel.takeDone();
  kernel.rules.takeNames();
  await programPorts(openIpvsSession(kernel), resolveAll(4), settings);
  expect([kernel.takeDone(), kernel.rules.takeNames()]).toEqual([[], []]);
});
