/** Conditions in the syntax of nft: what the kernel makes of them, with nft as the oracle. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { repairHostPorts } from '../../src/cni/portmap/repair.ts';
import { sysctls } from '../../src/kernel/sysctls.ts';
import { PortmapLab, tcp } from '../support/portmap-lab.ts';
import { probe, startServer } from '../support/workloads.ts';

let lab: PortmapLab;
beforeEach(() => {
  lab = new PortmapLab();
});
afterEach(() => lab.remove());

const table = ['inet', 'weft-hostports'] as const;
/** What the rules of a chain say in front of what they do. */
const matchesIn = (text: string) =>
  [...text.matchAll(/^\t\t(?:meta nfproto ipv\d )?(.*?) ?(?:dnat|counter).*$/gm)].map(([, m]) => m);
const repair = () => {
  const { connection, store } = lab;
  return repairHostPorts({ connection, store, sysctls }).isTableReplaced;
};

describe('the kernel has what nft itself would make of it', () => {
  test.each([
    [4, 'ip saddr 10.0.0.0/12'],
    [4, 'ip saddr != 192.0.2.1'],
    [4, 'ip daddr 10.0.0.1-10.0.0.9'],
    [4, 'tcp dport 80-90'],
    [4, 'udp sport != 53'],
    [4, 'th dport > 1023'],
    [4, 'iifname "eth*" oifname != "br0"'],
    [4, 'meta mark & 0xff != 0x3'],
    [4, 'meta l4proto != sctp'],
    [4, 'fib saddr type local'],
    [6, 'ip6 saddr 2001:db8::/33 ip6 daddr != fd00::1'],
    [6, 'ip6 saddr 2001:db8::1-2001:db8::5'],
  ])('IPv%i: %s', (family, text) => {
    const pod = lab.pod(2);
    lab.add(pod, { portMappings: [tcp(8080)], config: { [`conditionsV${family}`]: [text] } });
    const suffix = family === 4 ? 'ip' : 'ip6';
    lab.nft('add', 'table', suffix, 'oracle');
    lab.nft('add', 'chain', suffix, 'oracle', 'c');
    lab.nft('add', 'rule', suffix, 'oracle', 'c', ...text.split(' '), 'counter');
    const [oracle] = matchesIn(lab.nft('list', 'chain', suffix, 'oracle', 'c'));
    const ours = matchesIn(lab.nft('list', 'chain', ...table, `conditions-${suffix}`));
    expect(ours).toEqual([oracle, oracle]);
    expect(repair()).toBe(false);
  });
});

test('conditions decide who gets through, and which of two pods with one port', async () => {
  const [a, b] = [lab.pod(2), lab.pod(3)];
  const portMappings = [tcp(80, { hostIP: '0.0.0.0' })];
  const near = { network: 'near', config: { conditionsV4: ['ip saddr != 203.0.113.0/24'] } };
  const far = { network: 'far', config: { conditionsV4: ['ip saddr { 203.0.113.9, 192.0.2.1 }'] } };
  const servers = await Promise.all([
    startServer(a.netns.path, 'near', 8080),
    startServer(b.netns.path, 'far', 8080),
  ]);
  const answers = async (from: string, host: string) => {
    const { servers: found, errors } = await probe(from, { host, port: 80, timeoutMs: 1000 });
    return [...Object.keys(found), ...Object.keys(errors)].join(' ');
  };
  const fromOutside = () => answers(lab.client.path, '203.0.113.1');
  try {
    lab.add(a, { portMappings, ...near });
    expect(await fromOutside()).toBe('ECONNREFUSED');
    expect(await answers(lab.host.path, '10.22.0.1')).toBe('near');
    lab.add(b, { portMappings, ...far });
    expect(await fromOutside()).toBe('far');
    expect(await answers(lab.host.path, '10.22.0.1')).toBe('near');
    expect(() => lab.add(lab.pod(4), { portMappings })).toThrow('is taken by');
    lab.check(a, { portMappings, ...near });
    lab.nft('flush', 'chain', ...table, 'conditions-ip');
    expect(await fromOutside()).toBe('ECONNREFUSED');
    expect([repair(), repair()]).toEqual([true, false]);
    expect(await fromOutside()).toBe('far');
    lab.del(b, { network: 'far' });
    expect(await fromOutside()).toBe('ECONNREFUSED');
    expect(await answers(lab.host.path, '10.22.0.1')).toBe('near');
    lab.del(a, { network: 'near' });
    expect(lab.nft('list', 'chain', ...table, 'conditions-ip')).not.toContain('dnat');
    expect(lab.nft('list', 'map', ...table, 'conditional-ports-ip')).not.toContain('elements');
  } finally {
    await Promise.all(servers.map((server) => server.end()));
  }
}, 30_000);
