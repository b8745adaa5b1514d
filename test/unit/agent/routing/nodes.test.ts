import { expect, test } from 'vitest';
import { RoutedNodes } from '../../../../src/agent/routing/nodes.ts';
import { node } from '../../../support/fabric-objects.ts';

const NOTHING = { clusterCIDRs: [], taken: [] };

function list(...objects: readonly ReturnType<typeof node>[]) {
  const nodes = new RoutedNodes();
  for (const object of objects) nodes.put(object);
  return nodes.list(NOTHING);
}

test('a Node that says the address of an older one has none', () => {
  const at = (creationTimestamp: string) => ({ creationTimestamp });
  const listed = list(
    node('hostile', ['10.244.9.0/24'], ['192.0.2.1'], at('2026-02-01T00:00:00Z')),
    node('older', ['10.244.1.0/24'], ['192.0.2.1'], at('2026-01-01T00:00:00Z')),
  );
  expect(listed.map(({ name, addresses }) => [name, ...addresses]).toSorted()).toEqual([
    ['hostile'],
    ['older', '192.0.2.1'],
  ]);
});

test.each([
  ['64600', 64_600],
  ['4294967295', 4_294_967_295],
  ['0', undefined],
  ['4294967296', undefined],
  ['64600; }', undefined],
])('autonomous system %j', (text, asn) => {
  const annotations = { 'weft.dev/asn': text };
  const [listed] = list(node('n1', [], ['192.0.2.1'], { annotations }));
  expect(listed?.asn).toBe(asn);
});

test('an annotation that is no autonomous system is named, with what it is', () => {
  const nodes = new RoutedNodes();
  const at = (name: string, asn: string) =>
    node(name, [], ['192.0.2.1'], { annotations: { 'weft.dev/asn': asn } });
  nodes.put(at('n1', '0'));
  nodes.put(at('n2', '64600'));
  expect(nodes.problems()).toEqual([
    'Node n1: annotation weft.dev/asn is "0", no AS from 1 to 4294967295: routing.asn counts for it; correct it, or kubectl annotate node n1 weft.dev/asn-',
  ]);
  nodes.put(at('n1', '64601'));
  expect(nodes.problems()).toEqual([]);
});
