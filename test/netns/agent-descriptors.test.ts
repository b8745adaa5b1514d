/** Agents with few descriptors, and clients that hold as many connections as they are given. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ModeAgent } from '../support/mode-agent.ts';

const CROWD = new URL('../support/workloads/crowd.ts', import.meta.url).pathname;
const SHIM = new URL('../../native/shim/build/weft-shim', import.meta.url).pathname;

let agent: ModeAgent;
beforeEach(() => {
  agent = new ModeAgent('few');
});
afterEach(() => agent.remove());

/** Holds connections to places until the test ends. */
async function crowd(count: number, ...places: readonly string[]): Promise<void> {
  agent.node.start(process.execPath, [CROWD, String(count), ...places]);
  await sleep(2_000);
}

function probe(port: number): number {
  const url = `http://127.0.0.1:${port}/healthz`;
  const get = `const r = await fetch(${JSON.stringify(url)}); console.log(r.status)`;
  const args = ['--input-type=module', '-e', get];
  return Number(agent.node.attempt(process.execPath, args, 5_000).stdout);
}

/** A STATUS through the shim, without a standalone that it could fall back to. */
function callStatus() {
  const env = [`WEFT_RUN_DIR=${agent.runDir}`, 'CNI_COMMAND=STATUS', 'CNI_PATH=/opt/cni/bin'];
  const config = '{"cniVersion":"1.1.0","name":"n","type":"bridge"}';
  const script = `printf '%s' '${config}' | env ${env.join(' ')} ${SHIM}`;
  return agent.node.attempt('sh', ['-c', script], 5_000);
}

test('128 files and 300 idle clients of each socket: every question is answered', async () => {
  await agent.start('nftables', { components: ['cni', 'proxy'] }, ['prlimit', '--nofile=128']);
  const places = ['127.0.0.1:10256', '127.0.0.1:10249'];
  const sockets = ['cni.sock', 'agent.sock'].map((name) => `${agent.runDir}/${name}`);
  await crowd(300, ...places, ...sockets);
  expect([probe(10256), probe(10249)]).toEqual([200, 200]);
  expect(callStatus()).toMatchObject({ status: 0, stderr: '' });
  expect(agent.ask().stdout).toMatch(/: healthy\n/);
  expect(agent.log).not.toContain('EMFILE');
  expect(agent.log).toContain('few open files are allowed');
});

test('userspace with 1024 files: what one client cannot have, others get', async () => {
  const proxy = { mode: 'userspace', clusterCIDR: '10.0.0.0/8' };
  await agent.start('userspace', { proxy }, ['prlimit', '--nofile=1024']);
  agent.node.run('ip', 'addr', 'add', '10.1.0.2/32', 'dev', 'lo');
  const server = `require('net').createServer((s) => s.on('error', () => {})).listen(8080, '10.1.0.2')`;
  agent.node.start(process.execPath, ['-e', server]);
  await crowd(491, '172.30.0.10:80');
  expect(probe(10256)).toBe(200);
  expect(agent.ask().stdout).toMatch(/: healthy\n/);
  expect(agent.log).not.toContain('EMFILE');
  expect(agent.log).toContain('userspaceMaxConnections');
});
