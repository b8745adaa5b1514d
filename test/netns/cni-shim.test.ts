/** The C shim in front of an agent, of a broken one and of none. */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { attachmentKey } from '../../src/cni/attachment.ts';
import { decodeRequest, encodeAnswer, RUN_STANDALONE } from '../../src/cni/protocol/frame.ts';
import { INSTALL_ROOT } from '../support/cluster.ts';
import { type CniCall, CniTestNode } from '../support/cni-node.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';

const sources = new URL('../../native/shim', import.meta.url).pathname;
const built = `${sources}/build/weft-shim`;
const sanitized = `${sources}/build-sanitized/weft-shim`;
const nodeFlags = readFileSync(`${sources}/node-flags`, 'utf8').trim().split('\n');
const agentProgram = new URL('../support/cni-agent.ts', import.meta.url).pathname;

beforeAll(() => {
  execFileSync('make', ['-s', '-C', sources]);
  execFileSync('make', ['-s', '-C', sources, 'SANITIZE=1']);
});

let node: CniTestNode;
let shim: string;
let ending: (() => unknown)[];
beforeEach(() => {
  node = new CniTestNode();
  ending = [];
  mkdirSync(`${node.directory}/cni/bin`, { recursive: true });
  mkdirSync(`${node.directory}/weft/bin`, { recursive: true });
  mkdirSync(node.runDir);
  shim = `${node.directory}/cni/bin/weft`;
  copyFileSync(built, shim);
  installStandalone(`exec ${node.standalone.join(' ')}`);
});
afterEach(async () => {
  for (const end of ending) await end();
  node.remove();
});

/** A program in the place of the installed tree's Node. */
function installStandalone(script: string): void {
  const path = `${node.directory}/weft/bin/node`;
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

async function startAgent(): Promise<RunningProgram> {
  const command = [process.execPath, agentProgram];
  const environment = { ...process.env, WEFT_RUN_DIR: node.runDir };
  const agent = await startIn(node.host.path, command, 'ready\n', environment);
  ending.push(() => agent.end());
  return agent;
}

/** Somebody else on the agent's socket. */
async function startImpostor(onConnection: (socket: Socket) => unknown): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  server.listen(`${node.runDir}/cni.sock`);
  ending.push(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  return server;
}

/** In the background, so that servers in this process can answer. */
function callAsync(call: CniCall) {
  const { command, args, env } = node.commandOf({ plugin: [shim], ...call });
  const input = typeof call.stdin === 'string' ? call.stdin : JSON.stringify(call.stdin);
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(command, args, { env, timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

function config(change: object = {}): object {
  const ipam = { type: 'host-local', dataDir: node.dataDir, subnet: '10.22.0.0/24' };
  const base = { cniVersion: '1.0.0', name: 'net', type: 'weft', isDefaultGateway: true };
  return { ...base, ipMasq: true, ipam, ...change };
}

const clean = { links: ['cni0'], neighbours: [], elements: [], files: [] };

test('the shim is static and under 100 KB', () => {
  expect(statSync(built).size).toBeLessThan(100_000);
  expect(execFileSync('readelf', ['-l', built], { encoding: 'utf8' })).not.toContain('INTERP');
});

describe('with an agent', () => {
  test('ADD and DEL are answered by it, and no descriptor stays open', async () => {
    installStandalone('echo not the standalone; exit 3');
    const agent = await startAgent();
    const descriptors = () => readdirSync(`/proc/${agent.pid}/fd`).length;
    const pod = node.pod();
    const call = { netns: pod, stdin: config(), plugin: [shim] };
    node.result({ ...call, command: 'ADD' });
    const before = descriptors();
    node.result({ ...call, command: 'DEL' });
    for (let round = 0; round < 5; round += 1) {
      const added = node.result({ ...call, command: 'ADD' });
      expect(added).toMatchObject({ ips: [{ interface: 2 }] });
      node.call({ ...call, command: 'ADD' });
      node.call({ ...call, command: 'ADD', netns: '/etc/hostname' });
      node.call({ ...call, command: 'ADD', stdin: '{' });
      expect(node.call({ ...call, command: 'DEL' })).toMatchObject({ status: 0, stdout: '' });
    }
    expect(node.footprint()).toEqual(clean);
    expect(descriptors()).toBeLessThanOrEqual(before);
    await agent.end();
    expect(agent.output()).toContain('"verb":"ADD"');
  });

  test.each<[string, Partial<CniCall>, number, RegExp]>([
    ['VERSION', { command: 'VERSION' }, 0, /^\{"cniVersion":"1.1.0",.*\}\n$/],
    ['a namespace that is gone', { netns: '/run/netns/wt-no' }, 1, /No such file or directory/],
    ['a namespace that is none', { netns: '/etc/hostname' }, 1, /unknown FS magic/],
    ['a FIFO as namespace', { netns: 'fifo' }, 1, /unknown FS magic/],
    ['malformed stdin', { stdin: '{' }, 1, /"code": 6/],
    ['a big configuration', { stdin: 'big' }, 1, /vlan/],
    ['a missing variable', { env: { CNI_PATH: '' } }, 1, /\[CNI_PATH\] missing/],
  ])('%s', async (_name, change, status, output) => {
    await startAgent();
    const call = { command: 'ADD', netns: node.pod(), stdin: config(), plugin: [shim], ...change };
    if (call.stdin === 'big') call.stdin = config({ vlan: 5000, padding: 'x'.repeat(3_000_000) });
    if (call.netns === 'fifo') {
      call.netns = `${node.directory}/fifo`;
      spawnSync('mkfifo', [call.netns]);
    }
    const outcome = node.call(call);
    expect({ status: outcome.status, stdout: outcome.stdout }).toEqual({
      status,
      stdout: expect.stringMatching(output),
    });
  });

  test('only root is served', async () => {
    const agent = await startAgent();
    chmodSync(node.directory, 0o755);
    chmodSync(`${node.runDir}/cni.sock`, 0o777);
    installStandalone('echo fallback; exit 4');
    const plugin = ['setpriv', '--reuid=65534', '--clear-groups', shim];
    const outcome = node.call({ command: 'VERSION', stdin: '', plugin });
    expect(outcome).toMatchObject({ status: 4, stdout: 'fallback\n' });
    await agent.end();
    expect(agent.output()).toContain('cni connection refused');
  });
});

test('the agent learns the name the shim was called by, and no variables of others', async () => {
  const payload = Promise.withResolvers<Buffer>();
  await startImpostor((socket) => {
    socket.once('data', (frame: Buffer) => {
      payload.resolve(frame.subarray(8));
      socket.destroy();
    });
  });
  const link = `${node.directory}/host-local`;
  symlinkSync(shim, link);
  await callAsync({
    command: 'ADD',
    stdin: '{}',
    plugin: [link],
    env: { TRACEPARENT: '00-1-2-01' },
  });
  const { env, stdin } = decodeRequest(await payload.promise);
  expect({ env, stdin: stdin.toString() }).toEqual({
    env: {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'pod-1',
      CNI_IFNAME: 'eth0',
      CNI_NETNS: '',
      CNI_PATH: '/usr/lib/cni',
      TRACEPARENT: '00-1-2-01',
      WEFT_ARGV0: 'host-local',
      WEFT_CALL: expect.stringMatching(/^[0-9a-f]{32}$/),
      WEFT_RUN_DIR: node.runDir,
    },
    stdin: '{}',
  });
});

describe('without an answer the standalone takes over, stdin and all', () => {
  async function expectStandalone(change: Partial<CniCall> = {}, name = 'weft'): Promise<void> {
    installStandalone('echo "$CNI_COMMAND $WEFT_ARGV0 $NODE_OPTIONS" "$0" "$@"; cat');
    const { stdout, code } = await callAsync({ command: 'ADD', stdin: '{"a":1}', ...change });
    const root = `${node.directory}/cni/bin/../../weft`;
    const command = [`${root}/bin/node`, ...nodeFlags, `${root}/lib/weft-cni.cjs`].join(' ');
    expect({ stdout, code }).toEqual({ stdout: `ADD ${name}  ${command}\n{"a":1}`, code: 0 });
  }

  test('nobody listens', () => expectStandalone());
  test('the run directory is longer than a socket address', () =>
    expectStandalone({ env: { WEFT_RUN_DIR: `/tmp/${'x'.repeat(200)}` } }));
  test('the agent closes at once', async () => {
    await startImpostor((socket) => socket.destroy());
    await expectStandalone();
  });
  test('the agent dies in the middle of its answer', async () => {
    await startImpostor((socket) => socket.end('WFT1\0\0\0\x20\0\0\0\0'));
    await expectStandalone();
  });
  test('the answer is not one', async () => {
    await startImpostor((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await expectStandalone();
  });
  test('the socket does not belong to root', async () => {
    await startImpostor((socket) => socket.write('never read'));
    execFileSync('chown', ['65534', `${node.runDir}/cni.sock`]);
    await expectStandalone();
  });
  test('called through a link', async () => {
    const link = `${node.directory}/bridge`;
    symlinkSync(shim, link);
    await expectStandalone({ plugin: [link] }, 'bridge');
  });
  test('variables that would mislead it', () =>
    expectStandalone({ env: { WEFT_ARGV0: 'loopback', NODE_OPTIONS: '--inspect' } }));
  test('the agent leaves it to the standalone', async () => {
    const answer = encodeAnswer({ exitCode: RUN_STANDALONE, stdout: '', stderr: '' });
    await startImpostor((socket) => socket.end(answer));
    await expectStandalone();
  });

  test('a whole ADD and DEL', () => {
    const call = { netns: node.pod(), stdin: config(), plugin: [shim] };
    expect(node.result({ ...call, command: 'ADD' })).toHaveProperty('ips');
    node.result({ ...call, command: 'DEL' });
    expect(node.footprint()).toEqual(clean);
  });

  test('an agent killed in the middle: the standalone cleans up and does it again', async () => {
    const pod = node.pod();
    const call = { command: 'ADD', netns: pod, stdin: config(), plugin: [shim] };
    node.result(call);
    // As an agent leaves it that is killed between its last step and its answer.
    const journal = `${node.runDir}/adding`;
    const key = attachmentKey({ network: 'net', containerId: 'pod-1', ifName: 'eth0' });
    writeFileSync(`${journal}/${key}`, '');
    await startImpostor((socket) => socket.destroy());
    expect((await callAsync(call)).code).toBe(0);
    expect(node.footprint()).toMatchObject({ files: ['net/10.22.0.3'], elements: ['10.22.0.3'] });
  });

  test('an agent killed after its work, before its answer: the standalone does it again', async () => {
    const call = { command: 'ADD', netns: node.pod(), stdin: config(), plugin: [shim] };
    const served: number[] = [];
    await startImpostor((socket) => {
      socket.once('data', (frame: Buffer) => {
        const { env, stdin } = decodeRequest(frame.subarray(8));
        const plugin = node.standalone;
        served.push(node.call({ ...call, stdin: stdin.toString(), env, plugin }).status);
        socket.destroy();
      });
    });
    const { code, stdout } = await callAsync(call);
    expect({ code, served, error: JSON.parse(stdout).msg }).toEqual({ code: 0, served: [0] });
    expect(node.footprint()).toMatchObject({ files: ['net/10.22.0.3'], elements: ['10.22.0.3'] });
    // To another execution the pod is one in use.
    const repeated = await callAsync(call);
    expect(repeated).toMatchObject({ code: 1, stdout: expect.stringContaining('already exists') });
  });
});

describe('errors of its own', () => {
  test('an agent that does not answer', async () => {
    await startImpostor(() => undefined);
    const env = { WEFT_TIMEOUT_MS: '200' };
    const { code, stdout } = await callAsync({ command: 'ADD', stdin: '{}', env });
    expect({ code, error: JSON.parse(stdout) }).toEqual({
      code: 1,
      error: {
        cniVersion: '1.1.0',
        code: 11,
        msg: 'the weft agent did not answer in time',
        details: 'ADD',
      },
    });
  });

  test('neither agent nor standalone, in a directory with an odd name', () => {
    rmSync(`${node.directory}/weft`, { recursive: true });
    const directory = `${node.directory}/odd "\\\n`;
    mkdirSync(directory);
    copyFileSync(shim, `${directory}/weft`);
    const plugin = [`${directory}/weft`];
    const { status, stdout } = node.call({ command: 'ADD', stdin: '{}', plugin });
    expect({ status, error: JSON.parse(stdout) }).toEqual({
      status: 1,
      error: {
        cniVersion: '1.1.0',
        code: 11,
        msg: 'the weft agent is not running and the standalone cannot be started',
        details: `${directory}/../../weft/bin/node: No such file or directory`,
      },
    });
    expect(existsSync(`${node.runDir}/cni.sock`)).toBe(false);
  });

  test('more than 4 MiB on stdin', () => {
    const stdin = ' '.repeat(4 * 1024 * 1024 + 1);
    const { status, stdout } = node.call({ command: 'ADD', stdin, plugin: [shim] });
    expect({ status, code: JSON.parse(stdout).code }).toEqual({ status: 1, code: 5 });
  });
});

describe('under AddressSanitizer', () => {
  beforeEach(() => copyFileSync(sanitized, shim));

  test('an answer of the agent', async () => {
    const stdout = 'x'.repeat(300_000);
    const answer = encodeAnswer({ exitCode: 7, stdout, stderr: 'note' });
    await startImpostor((socket) => socket.once('data', () => socket.end(answer)));
    const netns = node.pod().path;
    const outcome = await callAsync({ command: 'ADD', stdin: ' '.repeat(200_000), netns });
    expect(outcome).toEqual({ code: 7, stdout, stderr: 'note' });
  });

  test.each<[string, string]>([
    ['none', ''],
    ['a cut header', 'WFT1\0\0'],
    ['a length that is none', 'WFT1\xff\xff\xff\xff'],
    ['more stdout than bytes', 'WFT1\0\0\0\x09\0\0\0\0\0\0\0\x02x'],
  ])('answer: %s', async (_name, answer) => {
    installStandalone('cat; exit 3');
    await startImpostor((socket) => socket.end(Buffer.from(answer, 'latin1')));
    const outcome = await callAsync({ command: 'DEL', stdin: '{"a":1}' });
    expect(outcome).toEqual({ code: 3, stdout: '{"a":1}', stderr: '' });
  });

  test('no standalone', () => {
    rmSync(`${node.directory}/weft`, { recursive: true });
    const { status, stdout, stderr } = node.call({ command: 'ADD', stdin: '{}', plugin: [shim] });
    expect({ status, code: JSON.parse(stdout).code, stderr }).toEqual({
      status: 1,
      code: 11,
      stderr: '',
    });
  });
});

describe('the installed tree', () => {
  test('its standalone answers', () => {
    const plugin = [`${INSTALL_ROOT}/opt/cni/bin/weft`];
    const { stdout } = node.call({ command: 'VERSION', stdin: '', plugin });
    expect(stdout).toMatch(/^\{"cniVersion":"1.1.0"/);
  });

  test('containerd finds a loopback', () => {
    const pod = node.pod();
    pod.run('ip', 'link', 'set', 'lo', 'down');
    const plugin = [`${INSTALL_ROOT}/opt/cni/bin/loopback`];
    const stdin = { cniVersion: '1.0.0', name: 'loopback', type: 'loopback' };
    node.result({ command: 'ADD', netns: pod, ifName: 'lo', stdin, plugin });
    expect(pod.ip('link', 'show', 'up')).toMatchObject([{ ifname: 'lo' }]);
  });

  test('Node takes the code cache under the flags of the shim', () => {
    const program = `
      const bytes = require('fs').readFileSync(process.argv[1]);
      const end = 8 + bytes.readUInt32LE(0);
      const options = { cachedData: bytes.subarray(8, end) };
      const script = new (require('vm').Script)(bytes.latin1Slice(end), options);
      process.stdout.write(String(script.cachedDataRejected));`;
    const file = `${INSTALL_ROOT}/opt/weft/lib/weft-cni.bin`;
    const args = [...nodeFlags, '-e', program, file];
    const runtime = `${INSTALL_ROOT}/opt/weft/bin/node`;
    expect(execFileSync(runtime, args, { encoding: 'utf8' })).toBe('false');
  });

  test.each([
    ['code', []],
    ['addon', ['weft-cni.bin']],
  ])('without its %s: an error object', (_missing, present) => {
    rmSync(`${node.directory}/weft`, { recursive: true });
    mkdirSync(`${node.directory}/weft/bin`, { recursive: true });
    mkdirSync(`${node.directory}/weft/lib`);
    const installed = `${INSTALL_ROOT}/opt/weft`;
    symlinkSync(`${installed}/bin/node`, `${node.directory}/weft/bin/node`);
    for (const file of ['weft-cni.cjs', ...present]) {
      copyFileSync(`${installed}/lib/${file}`, `${node.directory}/weft/lib/${file}`);
    }
    const { status, stdout, stderr } = node.call({ command: 'DEL', stdin: '{}', plugin: [shim] });
    expect({ status, error: JSON.parse(stdout), stderr }).toEqual({
      status: 1,
      error: {
        cniVersion: '1.1.0',
        code: 5,
        msg: expect.stringMatching(/^the weft standalone cannot run: /),
      },
      stderr: '',
    });
  });
});
