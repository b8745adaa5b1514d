/** Host ports through the executable: inside `type: weft`, and behind the reference's bridge. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CniTestNode } from '../support/cni-node.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { probe, startServer } from '../support/workloads.ts';

let node: CniTestNode;
let client: TestNetns;
beforeEach(() => {
  node = new CniTestNode();
  client = createNetns('out');
  const addresses = ['203.0.113.1/24'];
  const outside = { netns: client, link: 'up0', addresses: ['203.0.113.9/24'] };
  connect({ netns: node.host, link: 'up0', addresses }, outside);
});
afterEach(() => {
  client.remove();
  node.remove();
});

const runtimeConfig = {
  portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp', hostIP: '' }],
};

const network = (type: string) => ({
  cniVersion: '1.0.0',
  name: 'net',
  type,
  bridge: 'br7',
  isDefaultGateway: true,
  ipam: { type: 'host-local', dataDir: node.dataDir, subnet: '10.22.0.0/24' },
});

async function answers(): Promise<string> {
  const target = { host: '203.0.113.1', port: 80, timeoutMs: 1000 };
  const { servers, errors } = await probe(client.path, target);
  return [...Object.keys(servers), ...Object.keys(errors)].join(' ');
}

test('type weft: one execution, and DEL without runtimeConfig', async () => {
  const pod = node.pod();
  const stdin = { ...network('weft'), runtimeConfig };
  const result = node.result({ command: 'ADD', netns: pod, stdin });
  expect(result).toMatchObject({ ips: [{ address: '10.22.0.2/24' }] });
  const server = await startServer(pod.path, 'pod', 8080);
  try {
    expect(await answers()).toBe('pod');
    node.result({ command: 'CHECK', netns: pod, stdin: { ...stdin, prevResult: result } });
    const other = node.call({ command: 'ADD', id: 'pod-2', netns: node.pod(), stdin });
    expect(JSON.parse(other.stdout)).toMatchObject({
      code: 100,
      msg: 'host port 80/tcp is taken by net/pod-1/eth0',
    });
    node.result({ command: 'DEL', stdin: network('weft') });
    expect(await answers()).toBe('ECONNREFUSED');
    expect(node.files()).toEqual([]);
  } finally {
    await server.end();
  }
});

describe('a port whose owner is gone without a DEL', () => {
  const removeNetns = (pod: TestNetns) => execFileSync('umount', [pod.path]);
  const taken = { status: 1, stdout: expect.stringContaining('"code": 100') };

  test('type weft: the next pod has it at once, and not before the namespace is gone', async () => {
    const [former, next] = [node.pod(), node.pod()];
    const stdin = { ...network('weft'), runtimeConfig };
    node.result({ command: 'ADD', netns: former, stdin });
    const add = { command: 'ADD', id: 'pod-2', netns: next, stdin };
    expect(node.call(add)).toMatchObject(taken);
    // Another namespace at that path is not yet a proof: the pair is there.
    const held = former.start('sleep', ['60']);
    await once(held, 'spawn');
    removeNetns(former);
    expect(node.call(add)).toMatchObject(taken);
    held.kill('SIGKILL');
    await once(held, 'exit');
    await until('the pair is gone', () => !node.host.run('ip', '-br', 'link').includes('veth'));
    const server = await startServer(next.path, 'next', 8080);
    try {
      node.result(add);
      expect(await answers()).toBe('next');
      // The lost DEL comes late: it takes nothing from the new owner.
      node.result({ command: 'DEL', stdin: network('weft') });
      expect(await answers()).toBe('next');
    } finally {
      await server.end();
    }
  });

  test('as portmap behind the reference bridge', async () => {
    const [former, next] = [node.pod(), node.pod()];
    const publish = (id: string, netns: TestNetns) => {
      const bridge = { netns, id, stdin: network('bridge'), plugin: ['/usr/lib/cni/bridge'] };
      const prevResult = node.result({ ...bridge, command: 'ADD' });
      const stdin = {
        cniVersion: '1.0.0',
        name: 'net',
        type: 'portmap',
        runtimeConfig,
        prevResult,
      };
      const env = { WEFT_ARGV0: '/opt/cni/bin/portmap' };
      return { command: 'ADD', id, netns, env, stdin };
    };
    node.result(publish('pod-1', former));
    const add = publish('pod-2', next);
    expect(node.call(add)).toMatchObject(taken);
    const held = former.start('sleep', ['60']);
    await once(held, 'spawn');
    removeNetns(former);
    // A process has the namespace and its address still.
    expect(node.call(add)).toMatchObject(taken);
    held.kill('SIGKILL');
    await once(held, 'exit');
    const server = await startServer(next.path, 'next', 8080);
    try {
      await until('the namespace is gone', () => node.call(add).status === 0);
      expect(await answers()).toBe('next');
    } finally {
      await server.end();
    }
  });
});

test('CHECK of host ports that the reference made', () => {
  const pod = node.pod();
  const bridge = { netns: pod, stdin: network('bridge'), plugin: ['/usr/lib/cni/bridge'] };
  const prevResult = node.result({ ...bridge, command: 'ADD' });
  const stdin = { cniVersion: '1.0.0', name: 'net', type: 'portmap', runtimeConfig, prevResult };
  node.result({ command: 'ADD', netns: pod, stdin, plugin: ['/usr/lib/cni/portmap'] });
  const check = {
    command: 'CHECK',
    netns: pod,
    stdin,
    env: { WEFT_ARGV0: '/opt/cni/bin/portmap' },
  };
  expect(node.call(check)).toMatchObject({ status: 0, stdout: '' });
  node.host.run('iptables', '-t', 'nat', '-F');
  node.host.run('iptables', '-t', 'nat', '-X');
  expect(node.call(check)).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('not published'),
  });
});

test('as portmap behind the reference bridge', async () => {
  const pod = node.pod();
  const bridge = { netns: pod, stdin: network('bridge'), plugin: ['/usr/lib/cni/bridge'] };
  const prevResult = node.result({ ...bridge, command: 'ADD' });
  const portmap = { netns: pod, env: { WEFT_ARGV0: '/opt/cni/bin/portmap' } };
  const conf = { cniVersion: '1.0.0', name: 'net', type: 'portmap', runtimeConfig, prevResult };
  const result = node.result({ ...portmap, command: 'ADD', stdin: conf });
  // Release 1.1.1 prints an empty dns object.
  expect({ dns: {}, ...result }).toEqual(prevResult);
  const server = await startServer(pod.path, 'pod', 8080);
  try {
    expect(await answers()).toBe('pod');
    node.result({ ...portmap, command: 'CHECK', stdin: conf });
    node.result({ ...portmap, command: 'DEL', stdin: { ...conf, runtimeConfig: {} } });
    expect(await answers()).toBe('ECONNREFUSED');
  } finally {
    await server.end();
  }
  node.result({ ...bridge, command: 'DEL' });
});
