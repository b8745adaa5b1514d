import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { attachmentKey } from '../../src/cni/attachment.ts';
import type { TestNetns } from '../support/netns.ts';
import { MessageWriter } from '../support/runtime/protobuf.ts';
import { bootedAt, UpkeepNode } from './cni-upkeep-lab.ts';

let node: UpkeepNode;

beforeEach(() => {
  node = new UpkeepNode();
});

afterEach(async () => {
  await node.stopAgent();
  node.remove();
});

/** Without a grace period and as often as the runner allows. */
const eager = { graceMs: 0, sweepMs: 100 };
const reference = ['/usr/lib/cni/bridge'];
const referenceConf = { type: 'bridge', ipMasq: false };

const store = () => join(node.dataDir, 'net1');
const reserved = () => readdirSync(store()).filter((name) => /^(\d|fd)/.test(name));
const records = () => readdirSync(join(node.runDir, 'attachments'));
const publishing = {
  runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
};
const elements = () => node.host.attempt('nft', ['list', 'table', 'inet', 'weft-cni']).stdout;
const hostPorts = () =>
  node.host.attempt('nft', ['list', 'table', 'inet', 'weft-hostports']).stdout;

function attachByReference(pod: TestNetns, id: string): string[] {
  const stdin = { ...node.conf(referenceConf), cniVersion: '1.0.0' };
  const result = node.result({ command: 'ADD', id, netns: pod, stdin, plugin: reference });
  const { ips = [] } = result as { ips?: { address: string }[] };
  return ips.map(({ address }) => address.replace(/\/.*/, ''));
}

function age(seconds: number): void {
  for (const name of reserved()) utimesSync(join(store(), name), seconds, seconds);
}

/** Long enough for several sweeps. */
const several = () => new Promise((resolve) => setTimeout(resolve, 700));

describe('what nobody needs goes', () => {
  test('a missed DEL: the namespace is gone, everything goes; its neighbour keeps everything', async () => {
    const [lost, kept] = [node.pod(), node.pod()];
    const lostIPs = node.attach(lost, 'lost', { ...publishing, macspoofchk: true });
    const keptIPs = node.attach(kept, 'kept');
    lost.remove();
    await node.startAgent(eager);
    await node.until(() => node.count('leaked', 'attachment') === 1);
    expect(reserved().sort()).toEqual(keptIPs.sort());
    expect(records()).toHaveLength(1);
    expect(elements()).not.toContain(lostIPs[0]);
    expect(elements()).toContain(keptIPs[0]);
    expect(hostPorts()).not.toContain('8080');
    await node.until(() => node.log.includes('"reason":"namespace"'));
    expect(kept.attempt('ping', ['-c1', '-W1', '10.22.0.1']).status).toBe(0);
    await several();
    expect(node.events.filter(({ leaked }) => leaked !== undefined)).toHaveLength(1);
  });

  test('the namespace number given again at once to the next pod hides nothing', async () => {
    const lost = node.pod();
    node.attach(lost, 'lost');
    lost.remove();
    const next = node.pod();
    const nextIPs = node.attach(next, 'next');
    await node.startAgent(eager);
    await node.until(() => node.count('leaked', 'attachment') === 1);
    expect(reserved().sort()).toEqual(nextIPs.sort());
  });

  test('after a reboot: no records, addresses from before', async () => {
    const pod = node.pod();
    node.attach(pod, 'before');
    pod.remove();
    rmSync(node.runDir, { recursive: true });
    mkdirSync(node.runDir);
    age(bootedAt() - 60);
    await node.startAgent({ sweepMs: 100 });
    await node.until(() => reserved().length === 0);
    await node.until(() => node.log.includes('"reason":"boot"'));
    await node.until(() => !elements().includes('10.22.0.2'));
  });

  test('records of another boot, on a run directory that is no tmpfs', async () => {
    const pod = node.pod();
    node.attach(pod, 'before');
    pod.remove();
    const [name = ''] = records();
    const path = join(node.runDir, 'attachments', name);
    const record = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...record, bootId: 'another' }));
    await node.startAgent({ sweepMs: 100 });
    await node.until(() => reserved().length === 0 && records().length === 0);
  });

  test('a store that only a network configuration names', async () => {
    const pod = node.pod();
    const elsewhere = join(node.directory, 'elsewhere');
    const conf = node.conf({ ipam: { ...node.conf().ipam, dataDir: elsewhere } });
    node.result({ command: 'ADD', id: 'before', netns: pod, stdin: conf });
    pod.remove();
    rmSync(node.runDir, { recursive: true });
    mkdirSync(node.runDir);
    const confDirectory = join(node.directory, 'net.d');
    mkdirSync(confDirectory);
    writeFileSync(join(confDirectory, '10.conflist'), JSON.stringify({ plugins: [conf] }));
    const files = () => readdirSync(join(elsewhere, 'net1')).filter((file) => /^\d/.test(file));
    for (const file of readdirSync(join(elsewhere, 'net1'))) {
      utimesSync(join(elsewhere, 'net1', file), bootedAt() - 60, bootedAt() - 60);
    }
    await node.startAgent({ sweepMs: 100, confDirectory });
    await node.until(() => files().length === 0);
  });

  test.each([0, 1, 2, 3, 4, 6, 8])(
    'an ADD killed %i ms after its record was written',
    async (delayMs) => {
      const pod = node.pod();
      const { command, args, env } = node.commandOf({
        command: 'ADD',
        id: 'killed',
        netns: pod,
        stdin: '',
      });
      const child = spawn(command, args, { env, stdio: ['pipe', 'ignore', 'ignore'] });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end(JSON.stringify(node.conf()));
      const attachment = { network: 'net1', containerId: 'killed', ifName: 'eth0' };
      const record = join(node.runDir, 'attachments', attachmentKey(attachment));
      const journal = join(node.runDir, 'adding', attachmentKey(attachment));
      await new Promise((resolve) => setTimeout(resolve, 20));
      const givenUpAt = performance.now() + 10_000;
      while (!existsSync(record) && performance.now() < givenUpAt);
      const killAt = performance.now() + delayMs;
      while (performance.now() < killAt);
      child.kill('SIGKILL');
      await ended;
      const wasInTime = existsSync(journal);
      // Nothing is made yet at 0 ms, so that one cannot be late.
      if (delayMs === 0) expect(wasInTime).toBe(true);
      if (!wasInTime) return;
      await node.startAgent(eager);
      await node.until(() => node.count('leaked', 'attachment') === 1);
      // The bridge stays if it was made already.
      expect(node.footprint()).toMatchObject({ elements: [], files: [] });
      expect(node.host.run('ip', '-o', 'link', 'show', 'type', 'veth')).toBe('');
      expect(records()).toEqual([]);
    },
    30_000,
  );

  test('an element and a guard that nobody has', async () => {
    const pod = node.pod();
    node.attach(pod, 'kept', { macspoofchk: true });
    const before = node.nft('list', 'ruleset');
    node.nft(
      'add element inet weft-cni masquerade-pods-ip',
      '{ 10.22.0.99 comment "net1/gone/eth0" : goto masquerade-10.22.0.0-24 }',
    );
    node.nft('add', 'element', 'bridge', 'weft-spoof', 'guarded-ports', '{ "veth00000000" }');
    await node.startAgent(eager);
    await node.until(() => node.nft('list', 'ruleset') === before);
    await node.until(() => node.count('leaked', 'guardedPort') === 1);
    expect(node.count('leaked', 'masquerade')).toBe(1);
  });
});

describe('what may be needed stays', () => {
  test('nothing young is touched', async () => {
    const pod = node.pod();
    const ips = node.attach(pod, 'young');
    pod.remove();
    await node.startAgent({ sweepMs: 100 });
    await several();
    expect(reserved().sort()).toEqual(ips.sort());
  });

  test('living pods of ours, whatever the age', async () => {
    const pods = [node.pod(), node.pod()];
    const ips = pods.flatMap((pod, index) => node.attach(pod, `pod${index}`, publishing0(index)));
    age(bootedAt() - 60);
    const before = node.nft('list', 'ruleset');
    await node.startAgent(eager);
    await several();
    expect(reserved().sort()).toEqual(ips.sort());
    expect(node.nft('list', 'ruleset')).toBe(before);
    expect(node.events.filter(({ leaked }) => leaked !== undefined)).toEqual([]);
  });

  test('living pods whose records were lost', async () => {
    const pod = node.pod();
    const ips = node.attach(pod, 'alive');
    rmSync(join(node.runDir, 'attachments'), { recursive: true });
    age(bootedAt() - 60);
    const before = node.nft('list', 'ruleset');
    await node.startAgent(eager);
    await several();
    expect(reserved().sort()).toEqual(ips.sort());
    expect(node.nft('list', 'ruleset')).toBe(before);
  });

  test('a pod of the reference plugins, even when its file looks older than the boot', async () => {
    const pod = node.pod();
    const ips = attachByReference(pod, 'foreign');
    age(bootedAt() - 60);
    await node.startAgent(eager);
    await several();
    expect(reserved().sort()).toEqual(ips.sort());
    expect(pod.attempt('ping', ['-c1', '-W1', '10.22.0.1']).status).toBe(0);
    pod.remove();
    await node.until(() => reserved().length === 0);
  });

  test('without proof a lost address is only suspected', async () => {
    const pod = node.pod();
    const ips = attachByReference(pod, 'foreign');
    pod.remove();
    await node.startAgent(eager);
    await node.until(() => node.count('suspected', ips.length) > 0);
    await several();
    expect(reserved().sort()).toEqual(ips.sort());
    await node.until(() => node.log.includes('addresses reserved but not seen in use'));
  });
});

describe('with a runtime that is asked', () => {
  test.each([
    { name: 'unknown to it', sandboxes: [['other', 0]], isKept: false },
    { name: 'ready', sandboxes: [['foreign', 0]], isKept: true },
    { name: 'known, not ready', sandboxes: [['foreign', 1]], isKept: true },
  ] as const)('a sandbox $name', async ({ sandboxes, isKept }) => {
    const pod = node.pod();
    const ips = attachByReference(pod, 'foreign');
    pod.remove();
    const runtime = await serveSandboxes(join(node.directory, 'cri.sock'), sandboxes);
    try {
      await node.startAgent({ ...eager, criSocket: runtime.path });
      if (isKept) await several();
      else await node.until(() => reserved().length === 0);
      expect(reserved().sort()).toEqual(isKept ? ips.sort() : []);
      expect(runtime.calls()).toBeGreaterThan(0);
    } finally {
      runtime.close();
    }
  });

  test('one that does not answer is no reason for anything', async () => {
    const pod = node.pod();
    const ips = attachByReference(pod, 'foreign');
    pod.remove();
    await node.startAgent({ ...eager, criSocket: join(node.directory, 'nobody.sock') });
    await several();
    expect(reserved().sort()).toEqual(ips.sort());
    await node.until(() => node.log.includes('runtime did not list its sandboxes'));
  });
});

describe('the same container again', () => {
  test('its namespace died: it gets the same addresses in the new one', () => {
    const first = node.pod();
    const ips = node.attach(first, 'same');
    first.remove();
    const second = node.pod();
    expect(node.attach(second, 'same')).toEqual(ips);
    expect(second.attempt('ping', ['-c1', '-W1', '10.22.0.1']).status).toBe(0);
    expect(records()).toHaveLength(1);
  });

  test('while its interface is there, wherever, ADD is refused', () => {
    const first = node.pod();
    node.attach(first, 'same');
    const before = node.footprint();
    const second = { command: 'ADD', id: 'same', netns: node.pod(), stdin: node.conf() };
    expect(node.call(second)).toMatchObject({ status: 1 });
    expect(node.footprint()).toEqual(before);
  });

  test('a released address rests, and is given when no other is left', () => {
    const small = { ipam: { type: 'host-local', dataDir: node.dataDir, subnet: '10.22.0.0/29' } };
    const pods = Array.from({ length: 5 }, () => node.pod());
    const [a, b] = pods.map((pod, index) => node.attach(pod, `pod${index}`, small)[0]);
    node.detach('pod1', pods[1], small);
    node.detach('pod0', pods[0], small);
    node.detach('pod4', pods[4], small);
    expect(node.attach(pods[4]!, 'pod5', small)).toEqual([b]);
    expect(node.attach(pods[1]!, 'pod6', small)).toEqual([a]);
  });

  test('tracked connections of a released address end with it', () => {
    const pod = node.pod();
    const [ip = ''] = node.attach(pod, 'flows');
    node.host.run(
      'conntrack',
      '-I',
      '-p',
      'udp',
      '-s',
      ip,
      '-d',
      '203.0.113.1',
      '--sport',
      '1',
      '--dport',
      '2',
      '-t',
      '100',
      '-u',
      'SEEN_REPLY',
    );
    node.host.run(
      'conntrack',
      '-I',
      '-p',
      'udp',
      '-s',
      '203.0.113.1',
      '-d',
      '192.168.0.1',
      '--sport',
      '1',
      '--dport',
      '2',
      '-t',
      '100',
      '-u',
      'SEEN_REPLY',
      '-g',
      ip,
    );
    node.host.run(
      'conntrack',
      '-I',
      '-p',
      'udp',
      '-s',
      '203.0.113.1',
      '-d',
      '203.0.113.2',
      '--sport',
      '1',
      '--dport',
      '2',
      '-t',
      '100',
      '-u',
      'SEEN_REPLY',
    );
    expect(node.host.run('conntrack', '-L').match(/udp/g)).toHaveLength(3);
    node.detach('flows', pod);
    expect(node.host.run('conntrack', '-L').match(/udp/g)).toHaveLength(1);
  });
});

function publishing0(index: number): object {
  return index === 0 ? publishing : {};
}

/** A runtime whose only method is ListPodSandbox. */
async function serveSandboxes(path: string, sandboxes: readonly (readonly [string, number])[]) {
  let calls = 0;
  const list = new MessageWriter();
  for (const [id, state] of sandboxes) {
    list.message(1, (item) => item.string(1, id).varint(3, state).map(5, { app: 'x' }));
  }
  const message = list.finish();
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  const server = createServer();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    if (headers[':path'] === '/runtime.v1.RuntimeService/ListPodSandbox') calls += 1;
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.concat([prefix, message]));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { path, calls: () => calls, close: () => server.close() };
}
