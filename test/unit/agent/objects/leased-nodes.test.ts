import { expect, test } from 'vitest';
import { NodesOfLeases } from '../../../../src/agent/objects/leased-nodes.ts';
import type { SubnetLease } from '../../../../src/fabric/subnets/lease.ts';
import type { Node } from '../../../../src/kube/types.ts';
import { RecordingHandlers } from '../../../support/kube.ts';

function lease(subnet: number, nodeName: string, age: number): SubnetLease {
  const metadata = { name: `10.244.${subnet}.0-24`, namespace: '', uid: `etcd-${age}` };
  return { metadata, value: { addresses: [`192.0.2.${subnet}`], nodeName } };
}

test('a node is told of once, by its newest lease', () => {
  const handlers = new RecordingHandlers<Node>();
  const followed = new NodesOfLeases(handlers, ({ metadata }) => metadata.name !== 'other');
  const podCIDRs = () => followed.nodes().map(({ spec }) => spec?.podCIDRs);
  followed.put(lease(1, 'a', 1));
  followed.put(lease(9, 'other', 1));
  expect(handlers.take()).toEqual(['add a']);
  followed.put(lease(1, 'a', 1));
  followed.put(lease(2, 'a', 2));
  expect(handlers.take()).toEqual(['update a']);
  expect(podCIDRs()).toEqual([['10.244.2.0/24']]);
  followed.delete(lease(1, 'a', 1));
  expect(handlers.take()).toEqual([]);
  followed.replace(lease(2, 'b', 2), lease(2, 'a', 2));
  expect(handlers.take()).toEqual(['delete a', 'add b']);
  followed.delete(lease(2, 'b', 2));
  expect(handlers.take()).toEqual(['delete b']);
  expect(podCIDRs()).toEqual([]);
});
