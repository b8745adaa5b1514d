/** Rules of iptables: `ipMasqBackend: iptables`, and what the reference plugins leave for our DEL. */
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CniTestNode } from '../support/cni-node.ts';
import type { TestNetns } from '../support/netns.ts';

let node: CniTestNode;
beforeEach(() => {
  node = new CniTestNode();
});
afterEach(() => node.remove());

const reference = { bridge: ['/usr/lib/cni/bridge'], portmap: ['/usr/lib/cni/portmap'] } as const;

function network(change: object = {}): Record<string, unknown> {
  const ranges = [[{ subnet: '10.31.0.0/24' }], [{ subnet: 'fd00:31::/64' }]];
  return {
    ...{ cniVersion: '1.0.0', name: 'net', type: 'bridge', bridge: 'br0' },
    ...{ isDefaultGateway: true, ipMasq: true },
    ipam: { type: 'host-local', dataDir: node.dataDir, ranges },
    ...change,
  };
}

const withIptables = { ipMasqBackend: 'iptables' };

/** Chains of their own and all rules; the table itself and what it begins with stay. */
function nat(variant = 'nft'): string {
  return ['iptables', 'ip6tables']
    .map((family) => node.host.run(`${family}-${variant}-save`, '-t', 'nat'))
    .join('')
    .replaceAll(/^(#|\*nat|COMMIT|:[A-Z]+ ACCEPT).*\n/gm, '')
    .replaceAll(/\[\d+:\d+\]/g, '');
}

/** Rules that are nobody's of CNI, beside which everything happens. */
function addOthers(program = 'iptables'): void {
  for (const [family, source] of [
    [program, '10.31.0.2'],
    [program.replace('iptables', 'ip6tables'), 'fd00:31::2'],
  ] as const) {
    node.host.run(family, '-t', 'nat', '-N', 'CNI-MINE');
    node.host.run(family, '-t', 'nat', '-A', 'CNI-MINE', '-j', 'RETURN');
    node.host.run(family, '-t', 'nat', '-A', 'POSTROUTING', '-s', source, '-j', 'CNI-MINE');
  }
}

describe('[90] ipMasqBackend: iptables', () => {
  test('makes the rules that the reference bridge makes', () => {
    const call = { netns: node.pod(), id: 'a.b_c-1' };
    const byReference = { ...call, stdin: network(), plugin: reference.bridge };
    node.result({ command: 'ADD', ...byReference });
    const expected = nat();
    node.result({ command: 'DEL', ...byReference });
    // The next pod gets the same addresses.
    rmSync(join(node.dataDir, 'net'), { recursive: true });
    node.result({ command: 'ADD', ...call, stdin: network(withIptables) });
    expect(nat()).toBe(expected);
  });

  test('[63] ADD, CHECK, DEL: the rules come, are missed when gone, and go', () => {
    addOthers();
    const before = nat();
    const pod = node.pod();
    const stdin = network(withIptables);
    const prevResult = node.result({ command: 'ADD', netns: pod, stdin });
    const made = nat();
    const chain = chainOf('CNI-', 'net', 'pod-1');
    expect(made).toContain(`-A POSTROUTING -s 10.31.0.2/32 -m comment`);
    expect(made).toContain(`-A ${chain} -d fd00:31::/64 -m comment`);
    expect(node.elements()).toEqual([]);

    const check = { command: 'CHECK', netns: pod, stdin: { ...stdin, prevResult } };
    expect(node.call(check)).toMatchObject({ status: 0, stdout: '' });
    node.host.run('ip6tables', '-t', 'nat', '-F', chain);
    expect(node.call(check).stdout).toContain(`rule \\"-A ${chain} -d fd00:31::/64`);

    node.result({ command: 'DEL', netns: pod, stdin });
    expect(nat()).toBe(before);
    node.result({ command: 'DEL', netns: pod, stdin });
  });

  test('DEL finds them although the configuration says otherwise by now', () => {
    const before = nat();
    const pod = node.pod();
    node.result({ command: 'ADD', netns: pod, stdin: network(withIptables) });
    node.result({ command: 'DEL', netns: pod, stdin: network() });
    expect(nat()).toBe(before);
  });

  test('two interfaces of a container share a chain: each DEL takes its own part', () => {
    addOthers();
    const before = nat();
    const pod = node.pod();
    const stdin = network(withIptables);
    for (const ifName of ['eth0', 'eth1'])
      node.result({ command: 'ADD', netns: pod, ifName, stdin });
    const both = nat();
    expect(both.match(/-A POSTROUTING .*name:/g)).toHaveLength(4);
    node.result({ command: 'DEL', netns: pod, ifName: 'eth1', stdin });
    expect(nat()).toBe(both.replaceAll(/^-A POSTROUTING -s \S+3\/\d+ .*\n/gm, ''));
    node.result({ command: 'DEL', netns: pod, ifName: 'eth0', stdin });
    expect(nat()).toBe(before);
  });

  test('what a failed ADD made is taken back', () => {
    const before = nat();
    const plugin = ['env', `PATH=${programs('v4', ['iptables'], 'nft')}`, ...node.standalone];
    const call = { command: 'ADD', netns: node.pod(), stdin: network(withIptables), plugin };
    expect(JSON.parse(node.call(call).stdout).msg).toContain('ip6tables');
    expect(nat()).toBe(before);
    expect(node.files()).toEqual([]);
  });

  test('GC removes the rules of containers that are not valid, whoever made them', () => {
    addOthers();
    const before = nat();
    const config = network({ ...withIptables, cniVersion: '1.1.0' });
    const add = (id: string, stdin: object, plugin?: readonly string[]) =>
      node.result({ command: 'ADD', id, netns: node.pod(), stdin, ...(plugin && { plugin }) });
    add('mine', config);
    add('reference', network(), reference.bridge);
    add('valid', config);
    add('elsewhere', network({ name: 'net2', bridge: 'br1', ...withIptables, ipam: other() }));
    const gc = (...valid: string[]) => {
      const attachments = valid.map((containerID) => ({ containerID, ifname: 'eth0' }));
      node.result({
        command: 'GC',
        stdin: { ...config, 'cni.dev/valid-attachments': attachments },
      });
    };
    gc('valid');
    const ids = [...nat().matchAll(/id: \\"([^\\]+)/g)].map(([, id]) => id);
    expect(new Set(ids)).toEqual(new Set(['valid', 'elsewhere']));
    node.result({ command: 'DEL', id: 'valid', stdin: config });
    node.result({
      command: 'DEL',
      id: 'elsewhere',
      stdin: network({ name: 'net2', ...withIptables, ipam: other() }),
    });
    expect(nat()).toBe(before);
  });

  test('STATUS asks for the programs', () => {
    const stdin = network({ ...withIptables, cniVersion: '1.1.0' });
    expect(node.call({ command: 'STATUS', stdin })).toMatchObject({ status: 0, stdout: '' });
    const { stdout } = node.call({ command: 'STATUS', stdin, plugin: withoutPrograms() });
    expect(JSON.parse(stdout)).toMatchObject({
      code: 50,
      msg: expect.stringContaining('iptables'),
    });
  });

  test('without the programs ADD fails and leaves nothing', () => {
    const call = { netns: node.pod(), stdin: network(withIptables), plugin: withoutPrograms() };
    const { status, stdout } = node.call({ command: 'ADD', ...call });
    expect(status).toBe(1);
    expect(JSON.parse(stdout).msg).toContain('iptables-save is not installed');
    expect(node.files()).toEqual([]);
    node.result({ command: 'DEL', ...call });
  });
});

describe('pods of the reference plugins', () => {
  const portMappings = [
    { hostPort: 8001, containerPort: 80, protocol: 'tcp' },
    { hostPort: 8002, containerPort: 53, protocol: 'udp' },
  ];

  function addPod(netns: TestNetns, env: Record<string, string> = {}): void {
    const call = { command: 'ADD', netns, env };
    const prevResult = node.result({ ...call, stdin: network(), plugin: reference.bridge });
    const portmap = { cniVersion: '1.0.0', name: 'net', type: 'portmap', prevResult };
    const stdin = { ...portmap, runtimeConfig: { portMappings } };
    node.result({ ...call, stdin, plugin: reference.portmap });
  }

  test.each([
    { what: 'with its namespace', netns: (pod: TestNetns) => pod.path },
    { what: 'without its namespace', netns: () => '' },
  ])('DEL $what removes exactly their rules', ({ netns }) => {
    addOthers();
    const pod = node.pod();
    const neighbour = node.pod();
    node.result({
      command: 'ADD',
      id: 'other',
      netns: neighbour,
      stdin: network(),
      plugin: reference.bridge,
    });
    // portmap's shared chains stay, as with its own DEL.
    addPod(pod);
    for (const type of ['portmap', 'bridge'] as const) {
      const stdin = network({ type, runtimeConfig: { portMappings } });
      node.result({ command: 'DEL', netns: pod, stdin, plugin: reference[type] });
    }
    const before = nat();
    addPod(pod);
    expect(nat()).not.toBe(before);
    for (const type of ['portmap', 'bridge']) {
      node.result({ command: 'DEL', netns: netns(pod), stdin: network({ type }) });
    }
    expect(nat()).toBe(before);
  });

  test('one call of type weft does both', () => {
    const pod = node.pod();
    addPod(pod);
    node.result({ command: 'DEL', netns: pod, stdin: network({ type: 'weft' }) });
    expect(nat()).not.toMatch(/CNI-(DN-)?[0-9a-f]{16}/);
  });

  test('of iptables-legacy', () => {
    const path = programs('legacy', ['iptables', 'ip6tables'], 'legacy');
    const env = { PATH: `${path}:${process.env['PATH']}` };
    addOthers('iptables-legacy');
    const before = nat('legacy');
    const pod = node.pod();
    addPod(pod, env);
    expect(nat('legacy')).toContain(chainOf('CNI-', 'net', 'pod-1'));
    node.result({ command: 'DEL', netns: pod, stdin: network({ type: 'weft' }) });
    expect(nat('legacy').replaceAll(/^.*CNI-HOSTPORT.*\n/gm, '')).toBe(before);
  });

  test('of releases that use nf_tables', () => {
    const digest = (text: string) => createHash('sha512').update(text).digest('hex').slice(0, 16);
    const comment = (id: string) =>
      `${digest('net')}-${digest(`eth0:${id}`)}, net: net, if: eth0, id: ${id}`;
    const rules = (id: string, address: string) => [
      `add rule inet cni_plugins_masquerade masq_checks ip saddr ${address} masquerade comment "${comment(id)}"`,
      `add rule ip cni_hostport hostports tcp dport 8001 dnat to ${address}:80 comment "${id}"`,
      `add rule ip cni_hostport hostip_hostports ip daddr 192.0.2.1 tcp dport 8001 dnat to ${address}:80 comment "${id}"`,
      `add rule ip cni_hostport masquerading ip saddr ${address} ip daddr ${address} masquerade comment "${id}"`,
    ];
    nft([
      'add table inet cni_plugins_masquerade',
      'add chain inet cni_plugins_masquerade masq_checks',
      'add table ip cni_hostport',
      ...['hostports', 'hostip_hostports', 'masquerading'].map(
        (name) => `add chain ip cni_hostport ${name}`,
      ),
      ...rules('other', '10.31.0.9'),
    ]);
    const before = node.host.run('nft', 'list', 'ruleset');
    nft(rules('pod-1', '10.31.0.2'));
    node.result({ command: 'DEL', stdin: network({ type: 'weft' }) });
    expect(node.host.run('nft', 'list', 'ruleset')).toBe(before);
  });

  test('a pod of ours does not make iptables run', () => {
    const pod = node.pod();
    addOthers();
    node.result({ command: 'ADD', netns: pod, stdin: network() });
    const trace = join(node.directory, 'trace');
    const plugin = ['strace', '-f', '-o', trace, '-e', 'trace=execve', ...node.standalone];
    node.result({ command: 'DEL', netns: pod, stdin: network(), plugin });
    expect(node.host.run('grep', '-c', 'execve', trace).trim()).toBe('1');
  });
});

test('a pod of ours is removed by the reference bridge, and the other way round', () => {
  const before = nat();
  const pod = node.pod();
  const stdin = network(withIptables);
  node.result({ command: 'ADD', netns: pod, stdin });
  node.result({ command: 'DEL', netns: pod, stdin: network(), plugin: reference.bridge });
  expect(nat()).toBe(before);
  node.result({ command: 'DEL', netns: pod, stdin });
});

function chainOf(prefix: string, name: string, id: string): string {
  return `${prefix}${createHash('sha512').update(`${name}${id}`).digest('hex')}`.slice(0, 28);
}

function other(): object {
  return { type: 'host-local', dataDir: node.dataDir, subnet: '10.32.0.0/24' };
}

function nft(lines: readonly string[]): void {
  for (const line of lines) node.host.run('nft', line);
}

/** The standalone where no program is found. */
function withoutPrograms(): readonly string[] {
  return ['env', `PATH=${join(node.directory, 'nowhere')}`, ...node.standalone];
}

/** A directory with the programs of some families, in one variant under the plain names. */
function programs(directory: string, families: readonly string[], variant: string): string {
  const path = join(node.directory, directory);
  mkdirSync(path);
  for (const action of ['', '-save', '-restore']) {
    for (const family of families) {
      symlinkSync(`/usr/sbin/${family}-${variant}${action}`, join(path, `${family}${action}`));
    }
  }
  return path;
}
