/** Host ports through the executable: inside `type: weft`, and behind the reference's bridge. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CniTestNode } from '../support/cni-node.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
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
