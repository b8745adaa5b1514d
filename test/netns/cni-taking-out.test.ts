/** Debian's reference plugins and weft in turns on one node, under new and open connections. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WEFT_BINARY } from '../support/cluster.ts';
import { CniTestNode } from '../support/cni-node.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { probe, type RunningProgram, startIn, startServer } from '../support/workloads.ts';

const OPENER = join(import.meta.dirname, '../support/workloads/opener.ts');
const STREAM = join(import.meta.dirname, '../support/workloads/stream.ts');
const NODE = '203.0.113.1';
const OUTSIDE = '203.0.113.9';
/** TCP sends a lost SYN again after a second: whoever waits longer does not see the loss. */
const TIMEOUT_MS = 300;

let node: CniTestNode;
let client: TestNetns;
let programs: RunningProgram[];
beforeEach(() => {
  node = new CniTestNode();
  client = createNetns('out');
  programs = [];
  connect(
    { netns: node.host, link: 'up0', addresses: [`${NODE}/24`] },
    { netns: client, link: 'up0', addresses: [`${OUTSIDE}/24`] },
  );
});
afterEach(async () => {
  for (const program of programs) await program.end();
  client.remove();
  node.remove();
});

type Plugins = 'weft' | 'reference';

/** The plugins of a conflist in order; who answers to the names is the test's to say. */
async function call(
  verb: 'ADD' | 'DEL',
  plugins: Plugins,
  id: string,
  pod: TestNetns,
  port: number,
) {
  const base = { cniVersion: '1.0.0', name: 'net' };
  const ipam = { type: 'host-local', dataDir: node.dataDir, subnet: '10.22.0.0/24' };
  const bridge = { ...base, type: 'bridge', isDefaultGateway: true, ipMasq: true, ipam };
  const portMappings = [{ hostPort: port, containerPort: 8080, protocol: 'tcp' }];
  const portmap = { ...base, type: 'portmap', runtimeConfig: { portMappings } };
  const run = async (conf: { readonly type: string }) => {
    const who =
      plugins === 'weft'
        ? { env: { WEFT_ARGV0: `/opt/cni/bin/${conf.type}` } }
        : { plugin: [`/usr/lib/cni/${conf.type}`] };
    const { status, stdout, stderr } = await node.callBeside({
      ...{ command: verb, id, netns: pod, stdin: conf },
      ...who,
    });
    if (status !== 0) throw new Error(`${verb} of ${plugins} ${conf.type}: ${stdout}${stderr}`);
    return stdout;
  };
  if (verb === 'ADD') {
    const prevResult: unknown = JSON.parse(await run(bridge));
    await run({ ...portmap, prevResult } as { type: string });
    programs.push(await startServer(pod.path, id, 8080));
  } else {
    await run(portmap);
    await run(bridge);
  }
}

async function answerOf(port: number): Promise<string> {
  const { servers, errors } = await probe(client.path, { host: NODE, port, timeoutMs: TIMEOUT_MS });
  return Object.keys({ ...servers, ...errors }).join();
}

/** New connections from `from`, and one that stays open. */
async function traffic(from: TestNetns, host: string, port: number) {
  const words = [host, String(port)];
  const timeout = String(TIMEOUT_MS);
  const opener = [process.execPath, OPENER, ...words, '20', 'tcp', timeout];
  const stream = [process.execPath, STREAM, ...words];
  const started = [
    await startIn(from.path, opener, 'ready\n'),
    await startIn(from.path, stream, 'ready\n'),
  ];
  programs.push(...started);
  return started;
}

function cleanup(...flags: string[]): string {
  const command = [
    `--net=${node.host.path}`,
    WEFT_BINARY,
    'cleanup',
    '--component',
    'cni',
    ...flags,
  ];
  const env = { ...process.env, WEFT_RUN_DIR: node.runDir };
  const { status, stdout, stderr } = spawnSync('nsenter', command, { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

test('weft is put in and taken out: nothing is lost, and each port leads to its own pod', async () => {
  const [older, staying, leaving, successor, last] = [1, 2, 3, 4, 5].map(() => node.pod());
  if (!older || !staying || !leaving || !successor || !last) throw new Error('no pods');
  programs.push(await startServer(client.path, 'outside', 9000));
  await call('ADD', 'reference', 'older', older, 81);
  const ofOlder = [...(await traffic(client, NODE, 81)), ...(await traffic(older, OUTSIDE, 9000))];
  // Put in.
  await call('ADD', 'weft', 'staying', staying, 80);
  await call('ADD', 'weft', 'leaving', leaving, 82);
  const ofStaying = [
    ...(await traffic(client, NODE, 80)),
    ...(await traffic(staying, OUTSIDE, 9000)),
  ];
  expect([await answerOf(80), await answerOf(81), await answerOf(82)]).toEqual([
    'staying',
    'older',
    'leaving',
  ]);
  // Taken out: the reference's DEL knows nothing of our elements, and wants rules of its own.
  const kept = cleanup();
  expect(kept).toContain('kept host ports 80/tcp of net/staying/eth0\n');
  expect(kept).toContain('kept host ports 82/tcp of net/leaving/eth0\n');
  expect(kept).toMatch(/removed masquerade of 10\.22\.0\.\d+ of net\/staying\/eth0: rules of/);
  await call('DEL', 'reference', 'leaving', leaving, 82);
  leaving.remove();
  await call('ADD', 'reference', 'successor', successor, 82);
  expect(await answerOf(82)).toBe('successor');
  expect(cleanup()).toContain('removed what net/leaving/eth0 left, which lives no more\n');
  expect(await answerOf(82)).toBe('successor');
  const source = await probe(staying.path, { host: OUTSIDE, port: 9000, timeoutMs: TIMEOUT_MS });
  expect(Object.keys(source.peers)).toEqual([NODE]);
  const ended = await Promise.all(
    [...ofOlder, ...ofStaying].map(async (program) => {
      await program.end('SIGTERM');
      return program.output();
    }),
  );
  for (const output of ended) {
    expect(output).not.toMatch(/failed|lost/);
    expect(output).toMatch(/answered \d+|returned (\d+) of \1/);
  }
  // The last of ours goes, with the tables.
  await call('DEL', 'reference', 'staying', staying, 80);
  staying.remove();
  await call('ADD', 'reference', 'last', last, 80);
  expect(await answerOf(80)).toBe('last');
  cleanup();
  expect(node.host.run('nft', 'list', 'tables')).not.toContain('weft');
  expect(await answerOf(80)).toBe('last');
  expect(await answerOf(81)).toBe('older');
}, 120_000);
