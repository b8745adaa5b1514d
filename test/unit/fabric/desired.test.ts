import { expect, test } from 'vitest';
import { type FabricSettings, neighbourhoodReader } from '../../../src/fabric/desired.ts';
import { readFabricNode } from '../../../src/fabric/nodes.ts';
import { takeAtOnce } from '../../../src/util/turns.ts';
import { node } from '../../support/fabric-objects.ts';

const FACTS = { links: [], addresses: [], routes: [] };
const SETTINGS: FabricSettings = {
  backend: 'vxlan',
  vni: 1,
  tunnelPort: 8472,
  mtu: 0,
  clusterCIDRs: [],
  serviceCIDRs: [],
};

test('two nodes whose tunnels have one MAC are told of', () => {
  const tunnelMac = '0a:00:00:00:00:01';
  const nodes = [
    node('a', ['10.244.1.0/24'], ['192.0.2.1']),
    { ...node('b', ['10.244.2.0/24'], ['192.0.2.2']), tunnelMac },
    { ...node('c', ['10.244.3.0/24'], ['192.0.2.3']), tunnelMac },
  ].map(readFabricNode);
  const byName = new Map(nodes.map((each) => [each.name, each]));
  const { problems } = takeAtOnce(neighbourhoodReader()('a', byName, FACTS, SETTINGS));
  expect(problems).toEqual([
    expect.stringMatching(
      /^node c: the MAC of its tunnel, 0a:00:00:00:00:01, is that of node b too/,
    ),
  ]);
});
