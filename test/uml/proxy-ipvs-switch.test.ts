/** Changing between IPVS and another mode on a node in use: nothing fails, nothing of ours stays. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { IPV4, IPV6 } from '../support/flows/net.ts';
import { addForeign, foreignIn } from '../support/ipvs-foreign.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { kindsOfRules, NETS, NODE_PORT, objectsOf } from '../support/proxy-modes.ts';
import { ModeAgent } from '../support/userspace-agent.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';

const OPENER = new URL('../support/workloads/opener.ts', import.meta.url).pathname;
const STREAM = new URL('../support/workloads/stream.ts', import.meta.url).pathname;
/** What drains is looked at twice a minute. */
const WAIT = { timeout: 90_000, interval: 1_000 };

let lab: ProxyLab;
let agent: ModeAgent;
const programs: RunningProgram[] = [];

beforeAll(async () => {
  lab = await createProxyLab();
  agent = new ModeAgent(lab);
  for (const net of NETS) agent.write(`web-${net.family}`, ...objectsOf(net));
});

afterEach(async () => {
  for (const program of programs.splice(0)) await program.end('SIGKILL');
});

afterAll(async () => {
  await agent.remove();
  await lab.remove();
});

async function start(mode: 'iptables' | 'ipvs'): Promise<void> {
  await agent.end();
  const nodePortAddresses = NETS.map(({ outer, family }) => `${outer}/${family === 4 ? 24 : 64}`);
  const ipvs = { minSyncPeriod: '0s', syncPeriod: '1s' };
  await agent.start(mode, { iptablesVariant: 'legacy' }, { nodePortAddresses, ipvs });
}

async function run(name: string, ...words: readonly string[]): Promise<readonly RunningProgram[]> {
  const visits = [
    { from: lab.client, host: IPV4.vip(1), port: 80 },
    { from: lab.outside, host: IPV6.outer, port: NODE_PORT },
  ];
  const started = await Promise.all(
    visits.map(({ from, host, port }) =>
      startIn(from.path, [process.execPath, name, host, String(port), ...words], 'ready\n'),
    ),
  );
  programs.push(...started);
  return started;
}

/** Everything of the proxy that an IPVS mode makes. */
function leftOfIpvs(): readonly string[] {
  const portals = /^-A -t (172.30|.fd00:172|.*:30080).*$/gm;
  const servers = lab.node.run('ipvsadm', '--save', '-n').match(portals);
  const sets = lab.node.run('ipset', 'list', '-n').match(/^KUBE-(?!THEIRS).*$/gm);
  const links = lab.node.run('ip', '-o', 'link').match(/kube-ipvs0/g);
  const chains = lab.node.run('iptables-legacy-save').match(/^:KUBE-(IPVS|NODE-PORT|LOAD).*$/gm);
  return [servers, sets, links, chains].flatMap((found) => found ?? []);
}

test('no connection fails while the mode changes, and those that are open go on', async () => {
  addForeign(lab.node);
  const foreign = foreignIn(lab.node);
  await start('iptables');
  const openers = await run(OPENER, '500');
  // One processor for everything: an agent that starts has it for seconds.
  const streams = [...(await run(STREAM, '200', '10000'))];
  await start('ipvs');
  await expect.poll(() => agent.record(), WAIT).toEqual(['ipvs-legacy']);
  streams.push(...(await run(STREAM, '200', '10000')));
  await start('iptables');
  await expect.poll(() => agent.output, WAIT).toContain('rules of the former mode drain');
  for (const each of [...openers, ...streams]) await each.end('SIGTERM');
  const results = [...openers, ...streams].map((program) => program.output());
  expect(results.filter((text) => /failed|lost/.test(text))).toEqual([]);
  for (const text of results.slice(0, openers.length)) {
    expect(Number(/answered (\d+)/.exec(text)?.[1])).toBeGreaterThan(20);
  }
  for (const text of results.slice(openers.length)) expect(text).toMatch(/returned (\d+) of \1/);
  // What still drains goes as well.
  await agent.end();
  const cleaned = agent.cleanup();
  expect(cleaned).toContain('virtual servers, sets and chains of Services');
  expect(cleaned).toContain('removed chains of Services in iptables-legacy');
  expect([leftOfIpvs(), kindsOfRules(lab.node), foreignIn(lab.node)]).toEqual([[], [], foreign]);
}, 240_000);
