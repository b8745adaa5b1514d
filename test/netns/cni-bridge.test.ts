/** The standalone executable on a node of its own, with real links, rules and traffic. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SUPPORTED_VERSIONS } from '../../src/cni/protocol/versions.ts';
import { type CniCall, CniTestNode } from '../support/cni-node.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { probe, startServer } from '../support/workloads.ts';

let node: CniTestNode;
beforeEach(() => {
  node = new CniTestNode();
});
afterEach(() => node.remove());

function dualStack(change: object = {}): Record<string, unknown> {
  return {
    cniVersion: '1.0.0',
    name: 'net',
    type: 'weft',
    isDefaultGateway: true,
    ipMasq: true,
    ipam: {
      type: 'host-local',
      dataDir: node.dataDir,
      ranges: [[{ subnet: '10.22.0.0/24' }], [{ subnet: 'fd00:22::/64' }]],
    },
    ...change,
  };
}

function ipv4Only(change: object = {}): Record<string, unknown> {
  const ipam = { type: 'host-local', dataDir: node.dataDir, subnet: '10.22.0.0/24' };
  return dualStack({ ipam, ...change });
}

async function sourceSeen(from: TestNetns, to: TestNetns, host: string): Promise<string> {
  const server = await startServer(to.path, 'server', 8080);
  try {
    const { peers, errors } = await probe(from.path, { host, port: 8080, timeoutMs: 1000 });
    return Object.keys({ ...peers, ...errors }).join();
  } finally {
    await server.end();
  }
}

/** The executable where /proc/sys cannot be written, as in nested containers. */
function readOnly(): readonly string[] {
  const script =
    'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$0" "$@"';
  return ['unshare', '-m', 'sh', '-c', script, ...node.standalone];
}

const clean = { links: ['cni0'], neighbours: [], elements: [], files: [] };
const untouched = { links: [], neighbours: [], elements: [], files: [] };

describe('traffic', () => {
  test('dual stack: gateway, pod to pod, outside behind the node, and DEL leaves nothing', async () => {
    const [a, b] = [node.pod(), node.pod()];
    const outside = createNetns('out');
    try {
      connect(
        { netns: node.host, link: 'up0', addresses: ['203.0.113.1/24', '2001:db8:113::1/64'] },
        { netns: outside, link: 'up0', addresses: ['203.0.113.9/24', '2001:db8:113::9/64'] },
      );
      const stdin = dualStack();
      node.result({ command: 'ADD', id: 'a', netns: a, stdin });
      node.result({ command: 'ADD', id: 'b', netns: b, stdin });
      expect({
        gateway: await sourceSeen(a, node.host, '10.22.0.1'),
        gateway6: await sourceSeen(a, node.host, 'fd00:22::1'),
        pod: await sourceSeen(a, b, '10.22.0.3'),
        pod6: await sourceSeen(b, a, 'fd00:22::2'),
        outside: await sourceSeen(a, outside, '203.0.113.9'),
        outside6: await sourceSeen(b, outside, '2001:db8:113::9'),
      }).toEqual({
        gateway: '10.22.0.2',
        gateway6: 'fd00:22::2',
        pod: '10.22.0.2',
        pod6: 'fd00:22::3',
        outside: '203.0.113.1',
        outside6: '2001:db8:113::1',
      });
      expect(node.elements()).toEqual(['10.22.0.2', '10.22.0.3', 'fd00:22::2', 'fd00:22::3']);
      node.result({ command: 'DEL', id: 'a', netns: a, stdin });
      node.result({ command: 'DEL', id: 'b', netns: b, stdin });
      node.host.run('ip', 'link', 'del', 'up0');
      expect(node.footprint()).toEqual(clean);
      expect(a.ip<{ ifname: string }[]>('link').map(({ ifname }) => ifname)).toEqual(['lo']);
    } finally {
      outside.remove();
    }
  });

  test.each(['nftables', 'iptables'])(
    'with ipMasqExcept pods of another node see the pod itself (%s)',
    async (ipMasqBackend) => {
      const a = node.pod();
      const outside = createNetns('out');
      try {
        const other = ['10.244.7.9/24', 'fd00:10:244:7::9/64'];
        connect(
          {
            netns: node.host,
            link: 'up0',
            addresses: ['203.0.113.1/24', '10.244.7.1/24', 'fd00:10:244:7::1/64'],
          },
          { netns: outside, link: 'up0', addresses: ['203.0.113.9/24', ...other] },
        );
        outside.run('ip', 'route', 'add', '10.22.0.0/24', 'via', '203.0.113.1');
        outside.run('ip', 'route', 'add', 'fd00:22::/64', 'via', 'fd00:10:244:7::1');
        const ipMasqExcept = ['10.244.0.0/16', 'fd00:10:244::/56', '10.244.0.0/16'];
        const stdin = dualStack({ ipMasqBackend, ipMasqExcept });
        const prevResult = node.result({ command: 'ADD', id: 'a', netns: a, stdin });
        expect({
          pod: await sourceSeen(a, outside, '10.244.7.9'),
          pod6: await sourceSeen(a, outside, 'fd00:10:244:7::9'),
          outside: await sourceSeen(a, outside, '203.0.113.9'),
        }).toEqual({ pod: '10.22.0.2', pod6: 'fd00:22::2', outside: '203.0.113.1' });
        const check = { command: 'CHECK', id: 'a', netns: a, stdin: { ...stdin, prevResult } };
        expect(node.result(check)).toEqual({});
        expect(node.call({ command: 'DEL', id: 'a', netns: a, stdin })).toMatchObject({
          status: 0,
        });
      } finally {
        outside.remove();
      }
    },
  );

  test('a pod that takes over an address is reached at once', async () => {
    const [a, b] = [node.pod(), node.pod()];
    const stdin = ipv4Only({ runtimeConfig: { ips: ['10.22.0.9'] } });
    node.result({ command: 'ADD', id: 'a', netns: a, stdin });
    await sourceSeen(node.host, a, '10.22.0.9');
    node.result({ command: 'DEL', id: 'a', netns: a, stdin });
    node.result({ command: 'ADD', id: 'b', netns: b, stdin });
    const server = await startServer(b.path, 'b', 8080);
    const { servers, elapsedMs } = await probe(node.host.path, { host: '10.22.0.9', port: 8080 });
    await server.end();
    expect(servers).toEqual({ b: 1 });
    expect(elapsedMs).toBeLessThan(500);
  });

  test('other pods learn of a new owner of an address at once, in both families', async () => {
    const [a, b, c] = [node.pod(), node.pod(), node.pod()];
    const stdin = dualStack({ runtimeConfig: { ips: ['10.22.0.9', 'fd00:22::9'] } });
    node.result({ command: 'ADD', id: 'c', netns: c, stdin: dualStack() });
    node.result({ command: 'ADD', id: 'a', netns: a, stdin });
    await sourceSeen(c, a, '10.22.0.9');
    await sourceSeen(c, a, 'fd00:22::9');
    node.result({ command: 'DEL', id: 'a', netns: a, stdin });
    const added = node.result({ command: 'ADD', id: 'b', netns: b, stdin });
    const lladdr = (added as { interfaces: { mac: string }[] }).interfaces[2]?.mac;
    expect(c.ip('neigh', 'show', '10.22.0.9')).toMatchObject([{ lladdr }]);
    expect(c.ip('neigh', 'show', 'fd00:22::9')).toMatchObject([{ lladdr }]);
  });

  test('hairpin and stable addresses: the bridge keeps its hardware address', () => {
    const [a, b] = [node.pod(), node.pod()];
    const stdin = ipv4Only({ hairpinMode: true, mtu: 1400 });
    const bridgeMac = () => node.host.ip<{ address: string }[]>('link', 'show', 'cni0')[0]?.address;
    const first = node.result({ command: 'ADD', id: 'a', netns: a, stdin });
    const mac = bridgeMac();
    expect(first).toMatchObject({ interfaces: [{ name: 'cni0', mac }, {}, { sandbox: a.path }] });
    node.result({ command: 'ADD', id: 'b', netns: b, stdin });
    node.result({ command: 'DEL', id: 'a', netns: a, stdin });
    expect(bridgeMac()).toBe(mac);
    const [port] = node.host.ip<{ mtu: number; linkinfo: { info_slave_data: object } }[]>(
      ...['-details', 'link', 'show', 'master', 'cni0'],
    );
    expect(port).toMatchObject({ mtu: 1400, linkinfo: { info_slave_data: { hairpin: true } } });
  });
});

describe('configurations', () => {
  test('[52] the bare 0.2.0 configuration as it is', () => {
    const varLib = `${node.directory}/lib`;
    mkdirSync(varLib);
    const stdin =
      '{"cniVersion":"0.2.0","name":"mynet","type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":true,"ipam":{"type":"host-local","subnet":"10.22.0.0/16","routes":[{"dst":"0.0.0.0/0"}]}}';
    const script = `mount --bind ${varLib} /var/lib && exec "$0" "$@"`;
    const plugin = ['unshare', '-m', 'sh', '-c', script, ...node.standalone];
    const pod = node.pod();
    const call = { netns: pod, stdin, plugin };
    expect(node.call({ command: 'ADD', ...call })).toEqual({
      status: 0,
      stdout:
        '{\n    "cniVersion": "0.2.0",\n    "ip4": {\n        "ip": "10.22.0.2/16",\n        "gateway": "10.22.0.1",\n        "routes": [\n            {\n                "dst": "0.0.0.0/0"\n            }\n        ]\n    },\n    "dns": {}\n}',
      stderr: '',
    });
    expect(pod.ip('route', 'show', 'default')).toMatchObject([{ gateway: '10.22.0.1' }]);
    expect(node.call({ command: 'DEL', ...call })).toEqual({ status: 0, stdout: '', stderr: '' });
    expect(node.footprint()).toEqual(clean);
  });

  test.each(SUPPORTED_VERSIONS)('[77] ADD and DEL in %s', (cniVersion) => {
    const pod = node.pod();
    const stdin = dualStack({ cniVersion });
    expect(node.result({ command: 'ADD', netns: pod, stdin })).toHaveProperty(
      'cniVersion',
      cniVersion,
    );
    node.result({ command: 'DEL', netns: pod, stdin });
    expect(node.footprint()).toEqual(clean);
  });

  test('[78] layer 2 only', () => {
    const pod = node.pod();
    const stdin = { cniVersion: '0.4.0', name: 'l2', type: 'bridge', bridge: 'br9' };
    expect(node.result({ command: 'ADD', netns: pod, stdin })).not.toHaveProperty('ips');
    expect(pod.ip('link', 'show', 'eth0')).toMatchObject([{ operstate: 'UP' }]);
    node.result({ command: 'DEL', netns: pod, stdin });
    expect(node.footprint()).toEqual({ ...clean, links: ['br9'] });
  });

  test('two interfaces of one container on two networks', () => {
    const pod = node.pod();
    const second = ipv4Only({ name: 'second', bridge: 'cni1', isDefaultGateway: false });
    node.result({ command: 'ADD', netns: pod, stdin: dualStack() });
    node.result({ command: 'ADD', netns: pod, ifName: 'eth1', stdin: second });
    node.result({ command: 'DEL', netns: pod, stdin: dualStack() });
    expect(pod.ip('link', 'show', 'eth1')).toMatchObject([{ operstate: 'UP' }]);
    expect(node.files()).toEqual(['second/10.22.0.2']);
  });

  test('IPv6 switched off in the pod is switched on', () => {
    const pod = node.pod();
    pod.run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
    pod.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
    node.result({ command: 'ADD', netns: pod, stdin: dualStack() });
    expect(pod.run('ip', '-6', 'addr', 'show', 'dev', 'eth0')).toContain('fd00:22::2/64');
  });

  test('IPv6 switched off on the node is told in one sentence', () => {
    node.host.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
    const { stdout } = node.call({ command: 'ADD', netns: node.pod(), stdin: dualStack() });
    expect(JSON.parse(stdout).msg).toBe(
      'cannot give fd00:22::1/64 to "cni0": IPv6 is disabled on this node',
    );
    expect(node.footprint()).toEqual(clean);
  });
});

describe('[138] /proc/sys is read-only', () => {
  test('[60] is no error where nothing has to change', () => {
    node.host.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    const call = { netns: node.pod(), stdin: dualStack(), plugin: readOnly() };
    node.result({ command: 'ADD', ...call });
    node.result({ command: 'DEL', ...call });
    expect(node.footprint()).toEqual(clean);
  });

  test('names what it could not change, and leaves nothing', () => {
    node.host.run('sysctl', '-qw', 'net.ipv4.ip_forward=0');
    const call = { netns: node.pod(), stdin: ipv4Only(), plugin: readOnly() };
    const { stdout } = node.call({ command: 'ADD', ...call });
    expect(JSON.parse(stdout).msg).toMatch(/^write sysctl net\/ipv4\/ip_forward=1: .*EROFS/);
    expect(node.footprint()).toEqual(clean);
  });
});

test('[137] a pod in which IPv6 cannot be switched on is told in one sentence', () => {
  node.host.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  const pod = node.pod();
  pod.run('sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
  const { stdout } = node.call({
    command: 'ADD',
    netns: pod,
    stdin: dualStack(),
    plugin: readOnly(),
  });
  expect(JSON.parse(stdout).msg).toBe(
    'cannot give fd00:22::2/64 to "eth0": IPv6 is disabled in the pod',
  );
  expect(node.footprint()).toEqual(clean);
});

describe('[89] a failing ADD leaves nothing', () => {
  test('the interface is there already', () => {
    const pod = node.pod();
    pod.run('ip', 'link', 'add', 'eth0', 'type', 'bridge');
    const { status, stdout } = node.call({ command: 'ADD', netns: pod, stdin: dualStack() });
    expect(status).toBe(1);
    expect(JSON.parse(stdout).msg).toMatch(/^container veth name \("eth0"\) .* already exists$/);
    expect(node.footprint()).toEqual(untouched);
  });

  test('the address is taken', () => {
    const stdin = ipv4Only({ runtimeConfig: { ips: ['10.22.0.9'] } });
    node.result({ command: 'ADD', id: 'a', netns: node.pod(), stdin });
    const before = node.footprint();
    const { stdout } = node.call({ command: 'ADD', id: 'b', netns: node.pod(), stdin });
    expect(JSON.parse(stdout).msg).toContain('10.22.0.9 is not available');
    expect(node.footprint()).toEqual(before);
  });

  test('a route the kernel refuses, after the link was made', () => {
    const config = dualStack();
    const routes = [{ dst: '10.99.0.0/16', gw: '192.168.77.1' }];
    const stdin = { ...config, ipam: { ...Object(config['ipam']), routes } };
    const pod = node.pod();
    const { stdout } = node.call({ command: 'ADD', netns: pod, stdin });
    expect(JSON.parse(stdout)).toMatchObject({
      code: 999,
      msg: expect.stringContaining('10.99.0.0/16 via 192.168.77.1'),
    });
    expect(node.footprint()).toEqual(clean);
    expect(pod.attempt('ip', ['link', 'show', 'eth0']).status).not.toBe(0);
  });

  test('the namespace of the plugin itself', () => {
    const call = { command: 'ADD', netns: node.host.path, stdin: dualStack() };
    expect(JSON.parse(node.call(call).stdout).code).toBe(8);
    expect(node.footprint()).toEqual(untouched);
  });
});

describe('bad input: CNI error, exit 1, nothing changed', () => {
  const good = '{"cniVersion":"1.0.0","name":"net","isGateway":true}';
  test.each<[string, Partial<CniCall>, number, string]>([
    ['malformed stdin', { stdin: '{"name":' }, 6, 'error unmarshall network config'],
    ['empty stdin', { stdin: '' }, 6, 'error unmarshall network config'],
    [
      'unknown version',
      { stdin: '{"cniVersion":"9.9.9","name":"net"}' },
      1,
      'incompatible CNI versions',
    ],
    [
      'missing variables',
      { env: { CNI_CONTAINERID: undefined, CNI_IFNAME: '' } },
      4,
      'required env variables [CNI_CONTAINERID,CNI_IFNAME] missing',
    ],
    ['missing namespace', { netns: '/run/netns/wt-nowhere' }, 8, 'wt-nowhere'],
    ['a file as namespace', { netns: '/etc/hostname' }, 8, 'unknown FS magic on "/etc/hostname"'],
    ['another kind of namespace', { netns: '/proc/self/ns/mnt' }, 8, '/proc/self/ns/mnt'],
    [
      'wrong type',
      { stdin: '{"cniVersion":"1.0.0","name":"net","isGateway":"true"}' },
      7,
      'key "isGateway" must be boolean',
    ],
    [
      'unknown value',
      { stdin: '{"cniVersion":"1.0.0","name":"net","ipMasqBackend":"ipfw"}' },
      7,
      'unknown ipmasq backend "ipfw"',
    ],
  ])('%s', (_name, change, code, message) => {
    const { status, stdout } = node.call({
      command: 'ADD',
      netns: node.pod(),
      stdin: good,
      ...change,
    });
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ code, msg: expect.stringContaining(message) });
    expect(node.footprint()).toEqual(untouched);
  });
});

describe('DEL', () => {
  test.each<[string, (pod: TestNetns) => Partial<CniCall>]>([
    ['with an empty CNI_NETNS', () => ({ netns: '' })],
    ['with a path that is gone', () => ({ netns: '/run/netns/wt-nowhere' })],
    ['with a stale file as path', () => ({ netns: node.staleFile() })],
    [
      'with the namespace removed',
      (pod) => {
        pod.remove();
        return {};
      },
    ],
    ['with ranges that are not valid', () => ({ stdin: brokenRanges() })],
    ['with the table gone', () => dropTable()],
    ['with the bridge gone', () => dropBridge()],
  ])('[44, 82, 83, 139] %s leaves nothing and can be repeated', (_name, change) => {
    const pod = node.pod();
    node.result({ command: 'ADD', netns: pod, stdin: dualStack() });
    const call = { command: 'DEL', netns: pod, stdin: dualStack(), ...change(pod) };
    expect(node.call(call)).toMatchObject({ status: 0, stdout: '' });
    expect(node.footprint()).toMatchObject({ elements: [], files: [], neighbours: [] });
    expect(node.host.attempt('ip', ['-br', 'link']).stdout).not.toContain('veth');
    expect(node.call(call)).toMatchObject({ status: 0, stdout: '' });
  });

  function brokenRanges(): object {
    const ipam = { type: 'host-local', dataDir: node.dataDir, ranges: [[{ subnet: 'x' }]] };
    return dualStack({ ipam });
  }

  function dropTable(): object {
    node.host.run('nft', 'delete', 'table', 'inet', 'weft-cni');
    return {};
  }

  function dropBridge(): object {
    node.host.run('ip', 'link', 'del', 'cni0');
    return {};
  }

  test('of a pod that the reference plugin made', () => {
    const pod = node.pod();
    const stdin = ipv4Only({ type: 'bridge', ipMasq: false });
    const reference = ['/usr/lib/cni/bridge'];
    node.result({ command: 'ADD', netns: pod, stdin, plugin: reference });
    expect(node.files()).toEqual(['net/10.22.0.2']);
    node.result({ command: 'DEL', netns: pod, stdin });
    expect(node.footprint()).toEqual(clean);
    expect(pod.attempt('ip', ['link', 'show', 'eth0']).status).not.toBe(0);
  });

  test('by the reference plugin of a pod that we made', () => {
    const pod = node.pod();
    const stdin = ipv4Only({ type: 'bridge', ipMasq: false });
    node.result({ command: 'ADD', netns: pod, stdin });
    node.result({ command: 'DEL', netns: pod, stdin, plugin: ['/usr/lib/cni/bridge'] });
    expect(node.footprint()).toMatchObject({ ...clean, neighbours: expect.anything() });
  });
});

describe('masquerade elements', () => {
  test('one that leads elsewhere is replaced', () => {
    const pod = node.pod();
    const stdin = ipv4Only({ runtimeConfig: { ips: ['10.22.0.9'] } });
    node.result({ command: 'ADD', netns: pod, stdin });
    node.result({ command: 'DEL', netns: pod, stdin });
    node.host.run('nft', 'add chain inet weft-cni other');
    node.host.run('nft', 'add element inet weft-cni masquerade-pods-ip { 10.22.0.9 : goto other }');
    node.result({ command: 'ADD', netns: pod, stdin });
    expect(node.host.run('nft', 'list', 'map', 'inet', 'weft-cni', 'masquerade-pods-ip')).toContain(
      '10.22.0.9 comment "net/pod-1/eth0" : goto masquerade-10.22.0.0-24',
    );
  });
});

describe('at the same time and killed', () => {
  function start(call: CniCall) {
    const { command, args, env } = node.commandOf(call);
    const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.on('error', () => undefined);
    child.stdin.end(JSON.stringify(call.stdin));
    let stdout = '';
    child.stdout.on('data', (bytes: Buffer) => {
      stdout += bytes.toString();
    });
    const ended = once(child, 'close').then(() => ({ code: child.exitCode, stdout }));
    return { child, ended };
  }

  test('eight first pods of a node at once', async () => {
    const ids = Array.from({ length: 8 }, (_, index) => `pod-${index}`);
    const pods = ids.map(() => node.pod());
    const stdin = dualStack();
    const all = (command: string) =>
      Promise.all(
        ids.map((id, index) => start({ command, id, netns: pods[index] ?? '', stdin }).ended),
      );
    const added = await all('ADD');
    expect(added.map(({ code }) => code)).toEqual(ids.map(() => 0));
    const text = node.host.run('nft', 'list', 'table', 'inet', 'weft-cni');
    expect(text.match(/vmap/g)?.length).toBe(2);
    expect(text.match(/masquerade$/gm)?.length).toBe(2);
    expect(new Set(node.elements()).size).toBe(16);
    expect((await all('DEL')).map(({ code }) => code)).toEqual(ids.map(() => 0));
    expect(node.footprint()).toEqual(clean);
  });

  test('an ADD that was killed at any moment is done again or complete, and DEL cleans', async () => {
    const stdin = dualStack();
    const seen = new Set<string>();
    const undisturbed = { id: 'timed', netns: node.pod(), stdin };
    const startedAt = performance.now();
    node.result({ command: 'ADD', ...undisturbed });
    const wholeMs = performance.now() - startedAt;
    node.result({ command: 'DEL', ...undisturbed });
    for (let round = 0; round < 12; round += 1) {
      const call = { command: 'ADD', id: `pod-${round}`, netns: node.pod(), stdin };
      const { child, ended } = start(call);
      const timer = setTimeout(() => child.kill('SIGKILL'), (wholeMs * (round + 1)) / 12);
      const { code, stdout } = await ended;
      clearTimeout(timer);
      // The journal entry goes just before the answer: whoever is killed in between is complete.
      const again = code === null ? node.call(call) : { status: code, stdout };
      const isComplete = again.stdout.includes('already exists');
      if (!isComplete && again.status !== 0) throw new Error(again.stdout);
      seen.add(code === null ? 'killed' : 'finished');
      node.result({ ...call, command: 'DEL' });
    }
    expect(seen).toContain('killed');
    expect(node.footprint()).toEqual(clean);
  });
});

test('[18] stdout holds nothing but the answer whatever the environment says', () => {
  writeFileSync(`${node.directory}/warn.cjs`, 'process.emitWarning("noise")');
  const env = { NODE_OPTIONS: `--require ${node.directory}/warn.cjs --trace-warnings` };
  const { stdout } = node.call({ command: 'VERSION', stdin: '', env });
  expect(JSON.parse(stdout).supportedVersions).toEqual(SUPPORTED_VERSIONS);
});
