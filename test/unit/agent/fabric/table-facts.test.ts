import { expect, test } from 'vitest';
import { resolveFabricSettings } from '../../../../src/agent/config/fabric-settings.ts';
import { tableFactsReader } from '../../../../src/agent/fabric/table-facts.ts';
import { readFabricNode } from '../../../../src/fabric/nodes.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';

const NODE = { links: [], addresses: [], routes: [], former: [] };

const peer = {
  node: readFabricNode({
    metadata: { name: 'n2', uid: 'u2', labels: {}, annotations: {} },
  } as never),
  addresses: { 4: parseIP('192.0.2.2'), 6: parseIP('2001:db8::2') },
  podCIDRs: ['10.244.2.0/24', 'fd00:244:2::/64'].map(parseCidr),
};
const own = readFabricNode({
  metadata: { name: 'n1' },
  status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
} as never);
const hood = { podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'].map(parseCidr), peers: [peer], own };

/** One for all, as an agent has one. */
const tableFacts = tableFactsReader();

function facts(file: Parameters<typeof resolveFabricSettings>[0]) {
  const settings = resolveFabricSettings(file, () => 'here');
  return tableFacts(hood, NODE, settings, false);
}

test('defaults: tunnel for the nodes, masquerade for what leaves the pods', () => {
  expect(facts({})).toEqual({
    isPartial: false,
    tunnel: { port: 8472, peers: ['192.0.2.2', '2001:db8::2'], own: ['192.0.2.1'] },
    podCIDRs: hood.podCIDRs,
    podLinks: [],
    masquerade: { direct: [...hood.podCIDRs, ...peer.podCIDRs], families: [4, 6] },
  });
});

test('settings', () => {
  expect(facts({ masquerade: false }).masquerade).toBeUndefined();
  expect(facts({ backend: 'none' }).tunnel).toBeUndefined();
  expect(facts({ backend: 'host-gw', tunnelPort: 4789 }).tunnel?.port).toBe(4789);
  expect(facts({ masqueradeIPv6: 'none' }).masquerade?.families).toEqual([4]);
  const { masquerade } = facts({
    clusterCIDRs: ['10.244.0.0/16'],
    masqueradeExceptions: ['192.168.0.0/16'],
  });
  expect(masquerade?.direct).toEqual([
    '10.244.0.0/16',
    ...hood.podCIDRs,
    ...peer.podCIDRs,
    '192.168.0.0/16',
  ]);
});

test('pods from before a change of podCIDRs are guarded and masqueraded like others', () => {
  const node = { ...NODE, former: ['10.9.1.7', 'fd00:9::7'].map(parseIP) };
  const settings = resolveFabricSettings({}, () => 'here');
  const { podCIDRs, masquerade } = tableFacts(
    { own, podCIDRs: [], peers: [] },
    node,
    settings,
    false,
  );
  expect(podCIDRs).toEqual(['10.9.1.7/32', 'fd00:9::7/128']);
  expect(masquerade?.families).toEqual([4, 6]);
});

test('of the same peers it gives the same lists, and others once one thing is another', () => {
  const settings = resolveFabricSettings({}, () => 'here');
  const read = tableFactsReader();
  const first = read(hood, NODE, settings, true);
  const again = read({ ...hood }, { ...NODE }, settings, false);
  expect(again.tunnel?.peers).toBe(first.tunnel?.peers);
  expect(again.masquerade?.direct).toBe(first.masquerade?.direct);
  const former = [parseIP('10.9.0.7')];
  expect(read(hood, { ...NODE, former }, settings, false)).toEqual(
    tableFactsReader()(hood, { ...NODE, former }, settings, false),
  );
  const alone = { ...hood, peers: [] };
  expect(read(alone, NODE, settings, false)).toEqual(
    tableFactsReader()(alone, NODE, settings, false),
  );
});
