import { expect, test } from 'vitest';
import { serviceObjects, withEndpoints } from '../../bench/cluster-objects.ts';
import { endpointSync, fullSync } from '../../bench/kube-proxy-layout.ts';

const node = {
  nodeName: 'node0',
  nodeIP: '192.168.0.1',
  podCIDR: '10.0.0.0/8',
  serviceCIDR: '172.30.0.0/16',
};
const linesOf = (text: string) => text.trimEnd().split('\n');

test('chains are named as kube-proxy names them', () => {
  const { service, slices } = withEndpoints(0, ['10.180.0.1']);
  const [slice] = slices;
  if (slice === undefined) throw new Error('no slice');
  const named = {
    service: {
      metadata: { name: 'svc1', namespace: 'ns1' },
      spec: { ...service.spec, ports: [{ name: 'p80', protocol: 'TCP', port: 80 } as const] },
    },
    slices: [{ ...slice, ports: [{ name: 'p80', protocol: 'TCP', port: 80 } as const] }],
  };
  expect(fullSync([named], node)).toContain(
    'add chain ip kube-proxy service-ULMVA6XW-ns1/svc1/tcp/p80\n',
  );
});

test('every Service has a chain with an anonymous map', () => {
  const text = fullSync([serviceObjects(0), serviceObjects(1)], node);
  expect(text.match(/dnat ip addr \. port to numgen random mod 5 map \{ 0 : /g)).toHaveLength(2);
  expect(linesOf(text)).toContain('add element ip kube-proxy cluster-ips { 172.30.0.1 }');
});

test('a Service without endpoints is refused', () => {
  const lines = linesOf(fullSync([withEndpoints(3, [])], node));
  expect(lines).toContain(
    'add element ip kube-proxy no-endpoint-services { 172.30.0.3 . tcp . 80 : goto reject-chain }',
  );
  expect(lines.filter((line) => line.includes('dnat ip addr'))).toEqual([]);
});

test('a moved endpoint rewrites the chain of its Service, and hairpins where it is local', () => {
  expect(linesOf(endpointSync(serviceObjects(0), serviceObjects(0, 1), node))).toHaveLength(3);
  const [before, after] = [withEndpoints(0, ['10.0.0.1']), withEndpoints(0, ['10.0.0.2'])];
  expect(linesOf(endpointSync(before, after, node)).slice(3)).toEqual([
    'add element ip kube-proxy hairpin-connections { 10.0.0.2 . 10.0.0.2 . tcp . 8080 }',
    'delete element ip kube-proxy hairpin-connections { 10.0.0.1 . 10.0.0.1 . tcp . 8080 }',
  ]);
});
