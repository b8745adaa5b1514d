/** What host ports leave in the kernel and in the store, through every verb and every accident. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { portmap } from '../../src/cni/portmap/portmap.ts';
import { repairHostPorts } from '../../src/cni/portmap/repair.ts';
import { PortmapLab, tcp } from '../support/portmap-lab.ts';

let lab: PortmapLab;
beforeEach(() => {
  lab = new PortmapLab();
});
afterEach(() => lab.remove());

/** Elements of all maps of the table. */
function elementCount(): number {
  const { stdout } = lab.host.attempt('nft', ['-j', 'list', 'table', 'inet', 'weft-hostports']);
  if (stdout === '') return 0;
  const { nftables }: { nftables: { map?: { elem?: unknown[] } }[] } = JSON.parse(stdout);
  return nftables.reduce((sum, { map }) => sum + (map?.elem?.length ?? 0), 0);
}

function storeFiles(): string[] {
  const directory = join(lab.directory, 'hostports');
  return ['records', 'claims'].flatMap((name) => readdirSync(join(directory, name)));
}

const golden = (name: string) => {
  const path = new URL(`../golden/cni/portmap-${name}.nft`, import.meta.url).pathname;
  const listed = lab.nft('list', 'table', 'inet', 'weft-hostports');
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, listed);
  expect(listed).toBe(readFileSync(path, 'utf8'));
};

test('[121] what nft lists after ADD and after DEL', () => {
  const pod = lab.pod(2);
  const portMappings = [
    tcp(8080),
    tcp(5353, { protocol: 'UDP', containerPort: 53 }),
    tcp(3868, { protocol: 'sctp', hostIP: '2001:db8:113::1' }),
    tcp(443, { hostIP: '203.0.113.1' }),
  ];
  lab.add(pod, { portMappings });
  golden('after-add');
  lab.del(pod);
  golden('after-del');
  expect(storeFiles()).toEqual([]);
});

test('[122] masqAll and snat', () => {
  const [all, none] = [lab.pod(2), lab.pod(3)];
  lab.add(all, { portMappings: [tcp(8080)], config: { masqAll: true } });
  lab.add(none, { portMappings: [tcp(8081)], config: { snat: false } });
  golden('masquerade-scopes');
});

test('a taken port is refused naming its owner, and nothing of the ADD stays', () => {
  const [a, b] = [lab.pod(2), lab.pod(3)];
  const args = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0';
  lab.add(a, { portMappings: [tcp(8080)], args });
  const before = [elementCount(), storeFiles()];
  expect(() =>
    lab.add(b, { portMappings: [tcp(7000), tcp(8080, { hostIP: '203.0.113.1' })] }),
  ).toThrow('host port 203.0.113.1:8080/tcp is taken by pod shop/web-0 (net/pod-2/eth0)');
  expect([elementCount(), storeFiles()]).toEqual(before);
  lab.del(a);
  lab.add(b, { portMappings: [tcp(8080, { hostIP: '203.0.113.1' })] });
  lab.add(a, { portMappings: [tcp(8080, { hostIP: '10.22.0.1' })] });
  expect(elementCount()).toBe(4);
});

test('[143] the same port of another protocol or address is another port, and DEL removes exactly its own', () => {
  const [a, b, c] = [lab.pod(2), lab.pod(3), lab.pod(4)];
  lab.add(a, { portMappings: [tcp(8080, { hostIP: '203.0.113.1' })] });
  lab.add(b, { portMappings: [tcp(8080, { protocol: 'udp' })] });
  lab.add(c, { portMappings: [tcp(8080, { hostIP: '10.22.0.1' })] });
  lab.del(a);
  lab.check(b, { portMappings: [tcp(8080, { protocol: 'udp' })] });
  lab.check(c, { portMappings: [tcp(8080, { hostIP: '10.22.0.1' })] });
  expect(lab.nft('list', 'map', 'inet', 'weft-hostports', 'address-ports-ip')).not.toContain('203');
  lab.del(b);
  lab.del(c);
  expect([elementCount(), storeFiles()]).toEqual([0, []]);
});

test('ADD again replaces, DEL again and DEL of nothing succeed', () => {
  const pod = lab.pod(2);
  lab.add(pod, { portMappings: [tcp(8080), tcp(8081)] });
  lab.add(pod, { portMappings: [tcp(8081, { containerPort: 81 })] });
  lab.check(pod, { portMappings: [tcp(8081, { containerPort: 81 })] });
  expect(() => lab.check(pod, { portMappings: [tcp(8080)] })).toThrow('8080/tcp');
  for (let i = 0; i < 2; i += 1) lab.del(pod);
  lab.del(lab.pod(9));
  expect([elementCount(), storeFiles()]).toEqual([0, []]);
});

test('DEL knows the attachment alone, and only its network', () => {
  const pod = lab.pod(2);
  lab.add(pod, { portMappings: [tcp(8080)] });
  lab.add(pod, { portMappings: [tcp(8081)], network: 'other' });
  lab.del(pod, { config: { runtimeConfig: undefined, backend: 'iptables' } });
  expect(lab.store.records().map(({ attachment }) => attachment.network)).toEqual(['other']);
  lab.check(pod, { portMappings: [tcp(8081)], network: 'other' });
});

test('what a dead pod left is not taken from the pod that has its address now', () => {
  const dead = lab.pod(2);
  lab.add(dead, { portMappings: [tcp(8080)] });
  const successor = { ...dead, id: 'successor' };
  lab.add(successor, { portMappings: [tcp(8081)] });
  lab.del(dead);
  lab.check(successor, { portMappings: [tcp(8081)] });
  expect(elementCount()).toBe(4);
});

test('GC removes what is not valid on its network', () => {
  const [a, b] = [lab.pod(2), lab.pod(3)];
  lab.add(a, { portMappings: [tcp(8080)] });
  lab.add(b, { portMappings: [tcp(8081)] });
  lab.add(b, { portMappings: [tcp(8082)], network: 'other' });
  const { request, node } = lab.call('GC', a);
  const isValidContainer = (containerId: string) => containerId === a.id;
  const isValid = ({ containerId }: { containerId: string }) => isValidContainer(containerId);
  portmap.gc({ request, node, isValid, isValidContainer });
  const kept = lab.store.records().map(({ attachment }) => attachment);
  expect(kept.map(({ network, containerId }) => `${network} ${containerId}`).sort()).toEqual([
    'net pod-2',
    'other pod-3',
  ]);
});

test('CHECK fails when an element is gone, STATUS is fine', () => {
  const pod = lab.pod(2);
  const options = { portMappings: [tcp(8080)] };
  lab.add(pod, options);
  lab.check(pod, options);
  lab.nft('flush', 'map', 'inet', 'weft-hostports', 'ports-ip');
  expect(() => lab.check(pod, options)).toThrow('missing in map ports-ip');
  lab.nft('flush', 'ruleset');
  expect(() => lab.check(pod, options)).toThrow('ENOENT');
  portmap.status?.(lab.call('STATUS', pod));
});

test.each([
  { name: 'a flushed ruleset', script: 'flush ruleset' },
  { name: 'a flushed table', script: 'flush table inet weft-hostports' },
  { name: 'a flushed map', script: 'flush map inet weft-hostports pods-ip' },
  { name: 'a flushed subnet', script: 'flush chain inet weft-hostports subnet-10.22.0.0-24' },
  { name: 'a dormant table', script: 'add table inet weft-hostports { flags dormant; }' },
  { name: 'a foreign chain', script: 'add chain inet weft-hostports foreign' },
  { name: 'a foreign set', script: 'add set inet weft-hostports foreign { type ipv4_addr; }' },
  { name: 'a foreign object', script: 'add counter inet weft-hostports foreign' },
  {
    name: 'a rule in place of another',
    script: `flush chain inet weft-hostports masquerade-all
      add rule inet weft-hostports masquerade-all drop`,
  },
])('repair after $name', ({ script }) => {
  const pod = lab.pod(2);
  lab.add(pod, { portMappings: [tcp(8080)] });
  const before = lab.nft('list', 'ruleset');
  const { connection, store } = lab;
  const repair = () => repairHostPorts({ connection, store, sysctls: lab.node.kernel.sysctls });
  expect(repair()).toEqual({ isTableReplaced: false, links: [] });
  lab.nft(script);
  lab.host.run('sysctl', '-qw', 'net.ipv4.conf.br0.route_localnet=0');
  expect(lab.nft('list', 'ruleset')).not.toBe(before);
  expect(repair()).toEqual({ isTableReplaced: true, links: ['br0'] });
  expect(lab.nft('list', 'ruleset')).toBe(before);
  expect(repair()).toEqual({ isTableReplaced: false, links: [] });
});

test('ADD and DEL themselves bring back what somebody flushed', () => {
  const [a, b, c] = [lab.pod(2), lab.pod(3), lab.pod(4)];
  lab.add(a, { portMappings: [tcp(8080)] });
  lab.add(b, { portMappings: [tcp(8081)] });
  lab.nft('flush', 'ruleset');
  lab.add(c, { portMappings: [tcp(8082)] });
  lab.check(a, { portMappings: [tcp(8080)] });
  lab.nft('flush', 'ruleset');
  lab.del(b);
  lab.check(a, { portMappings: [tcp(8080)] });
  lab.check(c, { portMappings: [tcp(8082)] });
  lab.nft('flush', 'ruleset');
  for (const pod of [a, c]) lab.del(pod);
  expect([lab.nft('list', 'ruleset').includes('comment "net/'), storeFiles()]).toEqual([false, []]);
});

test('a file that makes no sense is no record and no claim', () => {
  const directory = join(lab.directory, 'hostports');
  for (const name of ['records', 'claims']) mkdirSync(join(directory, name), { recursive: true });
  writeFileSync(join(directory, 'records', 'x'), '');
  writeFileSync(join(directory, 'claims', '4-tcp-8080'), '[{"attachment":');
  const pod = lab.pod(2);
  lab.add(pod, { portMappings: [tcp(8080)] });
  lab.del(pod);
  expect(storeFiles()).toEqual(['x']);
});
