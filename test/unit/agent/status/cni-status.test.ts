import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readCniStatus } from '../../../../src/agent/status/cni-status.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'weft-cni-status-'));
});

afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, content: unknown = ''): void {
  const file = join(root, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
}

function read() {
  return readCniStatus({
    runDir: join(root, 'run'),
    ipamDirectory: join(root, 'networks'),
    confDirectory: join(root, 'net.d'),
  });
}

const dualStack = (dataDir?: string) => ({
  cniVersion: '1.0.0',
  name: 'mynet',
  plugins: [
    {
      type: 'bridge',
      ipam: {
        type: 'host-local',
        ...(dataDir === undefined ? {} : { dataDir }),
        ranges: [[{ subnet: '10.1.0.0/29' }], [{ subnet: 'fd00:1::/64' }]],
      },
    },
    { type: 'portmap' },
  ],
});

test('nothing on disk', () => {
  expect(read()).toEqual({
    ...{ attachments: 0, pods: 0, unfinishedAdds: 0 },
    ...{ networks: [], doubts: [] },
  });
});

test('interfaces, pods and unfinished ADDs', () => {
  for (const [name, containerId] of Object.entries({ a: 'pod-1', b: 'pod-1', c: 'pod-2' })) {
    write(`run/attachments/${name}`, { attachment: { containerId } });
  }
  write('run/attachments/d', 'half writ');
  write('run/attachments/.weft-e', {});
  write('run/adding/x', {});
  expect(read()).toMatchObject({ attachments: 4, pods: 3, unfinishedAdds: 1 });
});

test('a network whose host ports no runtime passes on', () => {
  write('net.d/10-mynet.conflist', dualStack());
  write('net.d/20-own.conf', { name: 'own', type: 'weft', capabilities: { bandwidth: true } });
  write('net.d/30-good.conf', { name: 'good', type: 'weft', capabilities: { portMappings: true } });
  write('net.d/40-without.conf', { name: 'without', type: 'bridge' });
  const lacks = 'lacks "capabilities": {"portMappings": true}';
  expect(read().doubts).toEqual([
    `network mynet serves no host ports: 10-mynet.conflist ${lacks}`,
    `network own serves no host ports: 20-own.conf ${lacks}`,
  ]);
});

test('addresses of a configured network: its gateway is never free', () => {
  write('net.d/10-mynet.conflist', dualStack());
  for (const name of ['10.1.0.2', '10.1.0.3', 'fd00:1::2', 'last_reserved_ip.0', 'lock']) {
    write(`networks/mynet/${name}`, 'pod-1\r\neth0');
  }
  expect(read().networks).toEqual([
    { network: 'mynet', family: 4, used: 2, free: 3 },
    { network: 'mynet', family: 6, used: 1 },
  ]);
});

test('a store elsewhere, and one that no configuration names', () => {
  write('net.d/10-mynet.conflist', dualStack(join(root, 'elsewhere')));
  write('elsewhere/mynet/10.1.0.2');
  write('networks/gone/10.9.0.2');
  expect(read().networks).toEqual([
    { network: 'mynet', family: 4, used: 1, free: 4 },
    { network: 'mynet', family: 6, used: 0 },
    { network: 'gone', family: 4, used: 1 },
  ]);
});

test.each([
  ['no JSON', '{"name": "mynet"'],
  ['no object', '[1]'],
  ['no name', { plugins: [] }],
  ['ranges of another type', { name: 'mynet', ipam: { type: 'host-local', ranges: 7 } }],
  ['a subnet that is none', { name: 'mynet', ipam: { type: 'host-local', subnet: 'x' } }],
  ['another IPAM', { name: 'mynet', plugins: [{ type: 'bridge', ipam: { type: 'dhcp' } }] }],
])('a configuration with %s tells of no addresses', (_, configuration) => {
  write('net.d/10-mynet.conf', configuration);
  expect(read().networks).toEqual([]);
});
