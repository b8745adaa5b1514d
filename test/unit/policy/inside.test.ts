import { expect, test } from 'vitest';
import { parseCidr } from '../../../src/net/cidr.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { ipBytes } from '../../../src/nftables/bytes.ts';
import { PolicyModel } from '../../../src/policy/model.ts';
import { SETS } from '../../../src/policy/table/sets.ts';

function ranges(model: PolicyModel) {
  model.settle();
  const elements = model.book.content().get(SETS[4].inside.name) ?? [];
  return elements.map(({ key, keyEnd = key }) => [key, keyEnd]);
}
const range = (first: string, last = first) => [first, last].map((ip) => ipBytes(parseIP(ip)));

test('Nodes, their podCIDRs and pods of this node are told of refusals', () => {
  const model = new PolicyModel({ nodeName: 'n1', inside: [parseCidr('10.0.0.0/16')] });
  const node = (podCIDR: string) => ({
    metadata: { name: 'n2', namespace: '' },
    spec: { podCIDRs: [podCIDR] },
    status: { addresses: [{ type: 'InternalIP', address: '192.168.0.2' }] },
  });
  model.apply({ kind: 'node', key: 'n2', now: node('10.244.2.0/24') });
  const local = { key: 'x/a', uid: undefined, ips: [parseIP('10.0.3.4'), parseIP('10.9.0.7')] };
  model.apply({ kind: 'localPod', key: 'x/a', now: local });
  const pods = [range('10.0.0.0', '10.0.255.255'), range('10.9.0.7')];
  const nodes = [range('10.244.2.0', '10.244.2.255'), range('192.168.0.2')];
  expect(ranges(model)).toEqual([...pods, ...nodes]);

  model.apply({ kind: 'node', key: 'n2', now: node('10.0.2.0/24') });
  expect(ranges(model)).toEqual([...pods, range('192.168.0.2')]);

  // Settings change under a running agent: nobody is told, then those of other networks.
  model.inside.setNetworks(undefined);
  expect(ranges(model)).toEqual([]);
  model.inside.setNetworks([parseCidr('10.9.0.0/24')]);
  expect(ranges(model)).toEqual([
    ...[range('10.0.2.0', '10.0.2.255'), range('10.0.3.4')],
    ...[range('10.9.0.0', '10.9.0.255'), range('192.168.0.2')],
  ]);
});
