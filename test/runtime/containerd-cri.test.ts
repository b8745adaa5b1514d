import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { renderConflist } from '../../src/agent/fabric/conflist.ts';
import { markReady } from '../../src/cni/boot-gate.ts';
import { readBootId } from '../../src/cni/machine.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { type RunningAgent, startAgent } from '../support/runtime/agent.ts';
import { Containerd } from '../support/runtime/containerd.ts';
import type { SandboxConfig } from '../support/runtime/cri-messages.ts';
import { nothing } from '../support/runtime/footprint.ts';
import { GrpcError } from '../support/runtime/grpc.ts';
import { network, referencePlugins, weftAs } from '../support/runtime/networks.ts';
import { nodeAddress } from '../support/runtime/runtime-node.ts';
import { ask, attemptToAsk, serveIn } from '../support/runtime/traffic.ts';

let containerd: Containerd;
let agent: RunningAgent | undefined;
let count = 0;

beforeAll(async () => {
  containerd = await Containerd.start();
  containerd.node.installPlugins({ ...referencePlugins, ...weftAs('weft') });
});
afterAll(() => containerd?.remove());
afterEach(async () => {
  for (const { id } of await containerd.cri.listPodSandbox()) await discard(id);
  await agent?.end();
  agent = undefined;
});

/** Runs a sandbox of a new name and gives its id and addresses. */
async function runSandbox(more: Partial<SandboxConfig> = {}) {
  count++;
  const id = await containerd.cri.runPodSandbox(containerd.sandboxConfig(`pod-${count}`, more));
  const { ips } = await containerd.cri.podSandboxStatus(id);
  return { id, ips, ip: ips[0] ?? '' };
}

async function discard(id: string): Promise<void> {
  await containerd.cri.stopPodSandbox(id);
  await containerd.cri.removePodSandbox(id);
}

describe.each([
  { by: 'agent', third: 1 },
  { by: 'standalone', third: 2 },
])('served by the $by', ({ by, third }) => {
  test.each([
    { cniVersion: '0.3.1', second: 31, isDualStack: false },
    { cniVersion: '0.4.0', second: 40, isDualStack: false },
    { cniVersion: '1.0.0', second: 100, isDualStack: false },
    { cniVersion: '1.0.0', second: 101, isDualStack: true },
  ])('a sandbox lives and goes: $cniVersion, dual stack $isDualStack', async (row) => {
    const { cri, node } = containerd;
    const name = `${by}-${row.second}`;
    const [v4, v6] = [`10.${row.second}.${third}`, `fd00:10:${row.second}:${third}::`];
    const want = row.isDualStack ? [`${v4}.2`, `${v6}2`] : [`${v4}.2`];
    const subnets = row.isDualStack ? [`${v4}.0/24`, `${v6}/64`] : [`${v4}.0/24`];
    await containerd.useNetwork(network({ name, cniVersion: row.cniVersion, subnets }));
    if (by === 'agent') agent = await startAgent(node);

    const { id, ip, ips } = await runSandbox();
    expect(ips).toEqual(want);
    const alive = node.footprint();
    expect(alive).toEqual({
      links: [expect.stringMatching(/^veth/)],
      addresses: expect.toSatisfy((names: string[]) => names.length === want.length),
      results: expect.arrayContaining([`${name}-${id}-eth0`]),
      netnses: [expect.stringMatching(/^cni-/)],
      netfilter: want,
    });
    serveIn(node, alive.netnses[0] ?? '', 80);
    expect(await ask(node.netns, ip, 80)).toContain(`eth0 ${ip}`);

    await cri.stopPodSandbox(id);
    expect(node.footprint()).toEqual(nothing);
    // The kubelet stops sandboxes more than once.
    await cri.stopPodSandbox(id);
    await cri.removePodSandbox(id);
    expect(node.footprint()).toEqual(nothing);
    expect(await cri.listPodSandbox()).toEqual([]);
    // ADD and three DELs: containerd calls the plugin again for a sandbox that is stopped already.
    expect(agent?.served()).toEqual(by === 'agent' ? ['ADD', 'DEL', 'DEL', 'DEL'] : undefined);
  });

  test('five sandboxes start and go at the same time', async () => {
    await containerd.useNetwork(network({ name: `${by}-five`, subnets: [`10.5.${third}.0/24`] }));
    if (by === 'agent') agent = await startAgent(containerd.node);
    const five = await Promise.all(Array.from({ length: 5 }, () => runSandbox()));
    expect(new Set(five.map(({ ip }) => ip)).size).toBe(5);
    expect(containerd.node.footprint().links).toHaveLength(5);
    await Promise.all(five.map(({ id }) => discard(id)));
    expect(containerd.node.footprint()).toEqual(nothing);
  });
});

test('a sandbox made through the agent goes after the agent was killed', async () => {
  const { node } = containerd;
  await containerd.useNetwork(network({ name: 'killed', subnets: ['10.6.0.0/24'] }));
  agent = await startAgent(node);
  const { id } = await runSandbox();
  expect(agent.served()).toEqual(['ADD']);
  await agent.end('SIGKILL');
  await discard(id);
  expect(node.footprint()).toEqual(nothing);
});

test('a sandbox made by the standalone goes through an agent that started later', async () => {
  const { node } = containerd;
  await containerd.useNetwork(network({ name: 'later', subnets: ['10.7.0.0/24'] }));
  const { id } = await runSandbox();
  agent = await startAgent(node);
  await discard(id);
  expect(agent.served()).toContain('DEL');
  expect(node.footprint()).toEqual(nothing);
});

test('no address left: the sandbox fails with the reason and leaves nothing', async () => {
  const { node } = containerd;
  await containerd.useNetwork(network({ name: 'full', subnets: ['10.8.0.0/30'] }));
  const first = await runSandbox();
  const before = node.footprint();
  const failure = runSandbox();
  await expect(failure).rejects.toThrow(GrpcError);
  await expect(failure).rejects.toThrow(/10\.8\.0\.0\/30|no .*address|addresses/);
  expect(node.footprint()).toEqual(before);
  await discard(first.id);
  const next = await runSandbox();
  expect(next.ip).toBe(first.ip);
});

test('[42, 45, 49] port mappings by the reference portmap chained after weft', async () => {
  const { node } = containerd;
  await containerd.useNetwork(
    network({ name: 'mapped', subnets: ['10.9.0.0/24'], usesPortmap: true }),
  );
  const { id, ip } = await runSandbox({
    portMappings: [{ protocol: 'TCP', containerPort: 80, hostPort: 8080 }],
  });
  serveIn(node, node.footprint().netnses[0] ?? '', 80);
  expect(await ask(node.client, nodeAddress, 8080)).toContain(`eth0 ${ip}`);
  // Hairpin: the pod reaches itself through the node's port.
  const own = [`--net=/run/netns/${node.footprint().netnses[0]}`, 'timeout', '2', 'bash', '-c'];
  expect(node.run('nsenter', ...own, `cat </dev/tcp/${nodeAddress}/8080`)).toContain(`eth0 ${ip}`);

  await discard(id);
  expect(attemptToAsk(node.client, nodeAddress, 8080)).toBeUndefined();
  expect(node.footprint()).toEqual(nothing);
});

test('what the CRI tells of a sandbox is what it was given', async () => {
  await containerd.useNetwork(network({ name: 'told', subnets: ['10.10.0.0/24'] }));
  const labels = { app: 'weft', 'kubernetes.io/ünicode': 'ä' };
  const annotations = { note: 'x'.repeat(300) };
  const { id } = await runSandbox({ labels, annotations });
  const metadata = { name: `pod-${count}`, uid: `uid-pod-${count}`, namespace: 'test', attempt: 0 };
  expect(await containerd.cri.listPodSandbox({ id })).toMatchObject([
    { id, metadata, labels, annotations, state: 'ready' },
  ]);
  await containerd.cri.stopPodSandbox(id);
  expect(await containerd.cri.listPodSandbox({ id })).toMatchObject([{ id, state: 'notReady' }]);
});

test('what the agent writes for a node with the fabric: pods wait for it, and then start', async () => {
  const { node } = containerd;
  const podCIDRs = ['10.11.1.0/24', 'fd00:10:11:1::/64'].map((text) => parseCidr(text));
  await containerd.useNetwork(JSON.parse(renderConflist({ podCIDRs, mtu: 1450 })));
  await expect(runSandbox()).rejects.toThrow(/the fabric of this node is not ready yet/);
  expect(node.footprint()).toEqual(nothing);
  markReady({ component: 'fabric', runDirectory: node.path('/run/weft'), bootId: readBootId });
  const { id, ips } = await runSandbox();
  expect(ips).toEqual(['10.11.1.2', 'fd00:10:11:1::2']);
  expect(node.run('ip', '-o', 'link', 'show', 'type', 'veth')).toContain('mtu 1450');
  await discard(id);
  expect(node.footprint()).toEqual(nothing);
});
