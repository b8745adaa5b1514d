/** The agent on an etcd: from what is put there to the kernel, and what becomes of it when etcd fails. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentStatus } from '../../src/agent/status/values.ts';
import { median } from '../bench/statistics.ts';
import { TestEtcd } from '../support/etcd.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { until } from '../support/until.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';

const WEFT = join(import.meta.dirname, '../../src/cli/weft.ts');
const PUTTER = join(import.meta.dirname, '../support/workloads/etcd-putter.ts');

let node: TestNetns;
let etcd: TestEtcd;
let agent: RunningProgram;
let directory: string;

beforeAll(async () => {
  node = createNetns('etcd');
  directory = mkdtempSync(join(tmpdir(), 'weft-etcd-agent-'));
  etcd = new TestEtcd(node);
  await etcd.start();
  const config = {
    ...{ components: ['proxy'], nodeName: 'node-a', runDir: join(directory, 'run') },
    ...{
      stateDir: join(directory, 'state'),
      proxy: { mode: 'nftables', nftables: { minSyncPeriod: '1ms' } },
    },
  };
  writeFileSync(join(directory, 'weft.json'), JSON.stringify(config));
  agent = await startIn(
    node.path,
    [
      ...[process.execPath, WEFT, 'agent', '--config', join(directory, 'weft.json')],
      ...['--etcd', etcd.endpoints.join()],
    ],
    'etcd endpoint in use',
  );
});

afterAll(async () => {
  await agent.end();
  await etcd.remove();
  node.remove();
  rmSync(directory, { recursive: true, force: true });
});

const table = () => node.attempt('nft', ['list', 'table', 'ip', 'weft-proxy']).stdout;

function status(): AgentStatus {
  const question = [WEFT, 'status', '--json', '--run-dir', join(directory, 'run')];
  // The shape is the agent's own.
  return JSON.parse(node.attempt(process.execPath, question).stdout) as AgentStatus;
}

function putWeb(endpoints: readonly string[]): void {
  etcd.put('/weft/services/ns/web', { kind: 'Service', ...service('web', '172.30.0.10') });
  etcd.put('/weft/endpointslices/ns/web-1', slice({ service: 'web', endpoints }));
}

test('what etcdctl puts is in the kernel, and what it deletes is not', async () => {
  putWeb(['10.0.0.1']);
  await until('the endpoint is there', () => table().includes('10.0.0.1 . 8080'));
  expect(status().source).toMatchObject({
    ...{ kind: 'etcd', location: '127.0.0.1:2379', isSynced: true, problems: [] },
    etcd: { endpoints: ['127.0.0.1:2379'], revision: etcd.revision() },
  });
  etcd.ctl('del', '/weft/endpointslices/ns/web-1');
  await until('it is gone', () => !table().includes('10.0.0.1'));
  etcd.put('/weft/services/ns/broken', '{"spec":');
  const named = await until('it is named', () => {
    const passedOver = status().source?.passedOver ?? [];
    return passedOver.length > 0 ? passedOver : undefined;
  });
  expect(named).toEqual([
    { kind: 'Service', reason: 'the value is not a JSON object', count: 1, keys: ['ns/broken'] },
  ]);
  etcd.ctl('del', '/weft/services/ns/broken');
});

test('from the put to the kernel it takes milliseconds', async () => {
  putWeb(['10.0.0.1']);
  await until('the endpoint is there', () => table().includes('10.0.0.1 . 8080'));
  const monitor = node.start('nft', ['monitor', 'elements']);
  let seen = '';
  const arrivals = new Map<string, number>();
  monitor.stdout?.on('data', (chunk: Buffer) => {
    seen += chunk;
    for (const [address] of seen.matchAll(/10\.0\.7\.\d+/g)) {
      if (!arrivals.has(address)) arrivals.set(address, performance.timeOrigin + performance.now());
    }
  });
  const putter = node.start(process.execPath, [PUTTER, `${etcd.endpoints[0]}`]);
  const told: number[] = [];
  putter.stdout?.on('data', (chunk: Buffer) => {
    told.push(...String(chunk).trim().split('\n').map(Number));
  });
  const took: number[] = [];
  for (let n = 1; n <= 15; n++) {
    const value = JSON.stringify(slice({ service: 'web', endpoints: [`10.0.7.${n}`] }));
    putter.stdin?.write(`${JSON.stringify({ key: '/weft/endpointslices/ns/web-1', value })}\n`);
    const inKernelAt = await until('it is in the kernel', () => arrivals.get(`10.0.7.${n}`));
    const sentAt = await until('it was put', () => told[n - 1]);
    took.push(inKernelAt - sentAt);
  }
  console.log(`put to kernel: ${took.map((ms) => ms.toFixed(1)).join(' ')} ms`);
  // 20 ms is what it may take on a quiet machine.
  expect(median(took)).toBeLessThan(100);
});

test('an etcd that is killed, compacted and restored changes nothing in the kernel', async () => {
  putWeb(['10.0.0.1']);
  await until('the endpoint is there', () => table().includes('10.0.0.1 . 8080'));
  etcd.save('then');
  const monitor = node.start('nft', ['monitor']);
  let changes = '';
  monitor.stdout?.on('data', (chunk: Buffer) => {
    changes += chunk;
  });
  await etcd.kill();
  const words =
    /^etcd 127\.0\.0\.1:2379: connection refused, for \d+ s; what was last read is served/;
  await until('it is said', () => status().problems.some((each) => words.test(each)));
  await etcd.start();
  // Other versions of the same contents.
  for (let n = 0; n < 3; n++) putWeb(['10.0.0.1']);
  etcd.ctl('compact', String(etcd.revision()));
  const revision = etcd.revision();
  await until('it is well again', () => {
    const told = status();
    return told.isHealthy && told.source?.etcd?.revision === revision;
  });
  await etcd.restore('then');
  await until('the older data are read', () => {
    const told = status();
    return told.isHealthy && (told.source?.etcd?.revision ?? 0) < revision;
  });
  expect(changes).toBe('');
  const wroteAt = performance.now();
  putWeb(['10.0.0.2']);
  await until('it goes on', () => table().includes('10.0.0.2 . 8080'));
  console.log(`after its return: ${Math.round(performance.now() - wroteAt)} ms`);
  // The proof that it would have been seen.
  await until('it was told of', () => changes.includes('10.0.0.2'));
});
