import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { check } from '../support/runtime/check.ts';
import { Containerd } from '../support/runtime/containerd.ts';
import { nothing } from '../support/runtime/footprint.ts';
import {
  type NetworkOptions,
  network,
  referencePlugins,
  weftAs,
} from '../support/runtime/networks.ts';
import { ask, serveIn } from '../support/runtime/traffic.ts';

/** One conflist of type bridge all along; only the programs behind the names change. */
const programs = {
  reference: referencePlugins,
  weft: { ...referencePlugins, ...weftAs('bridge') },
  wholeWeft: { ...referencePlugins, ...weftAs('bridge', 'portmap', 'host-local') },
  weftAddresses: { ...referencePlugins, ...weftAs('host-local') },
} as const;

let containerd: Containerd;
let count = 0;

beforeAll(async () => {
  containerd = await Containerd.start();
});
afterAll(() => containerd?.remove());
afterEach(async () => {
  containerd.node.installPlugins(programs.weft);
  for (const { id } of await containerd.cri.listPodSandbox()) await discard(id);
});

/** Uses a network of its own for the test, whose pods are 10.<second>.0.2 and up. */
function useNetwork(second: number, options: Partial<NetworkOptions>): Promise<void> {
  const subnets = [`10.${second}.0.0/24`];
  return containerd.useNetwork(
    network({ name: `net-${second}`, type: 'bridge', cniVersion: '0.4.0', subnets, ...options }),
  );
}

async function runSandbox(): Promise<{ readonly id: string; readonly ip: string }> {
  count++;
  const config = containerd.sandboxConfig(`pod-${count}`, {
    portMappings: [{ protocol: 'TCP', containerPort: 80, hostPort: 8000 + count }],
  });
  const id = await containerd.cri.runPodSandbox(config);
  const { ips } = await containerd.cri.podSandboxStatus(id);
  return { id, ip: ips[0] ?? '' };
}

async function discard(id: string): Promise<void> {
  await containerd.cri.stopPodSandbox(id);
  await containerd.cri.removePodSandbox(id);
}

test.each([
  { from: 'reference', to: 'weft', second: 51, ipMasq: false, usesPortmap: false },
  { from: 'reference', to: 'weft', second: 52, ipMasq: true, usesPortmap: false },
  { from: 'reference', to: 'weft', second: 53, ipMasq: true, usesPortmap: true },
  { from: 'reference', to: 'wholeWeft', second: 58, ipMasq: true, usesPortmap: true },
  { from: 'weft', to: 'reference', second: 54, ipMasq: false, usesPortmap: false },
  { from: 'weft', to: 'reference', second: 55, ipMasq: false, usesPortmap: true },
] as const)(
  'pods made by $from live on and are removed by $to: ipMasq $ipMasq, portmap $usesPortmap',
  async ({ from, to, second, ...options }) => {
    const { node } = containerd;
    const { netfilter: before } = node.footprint();
    node.installPlugins(programs[from]);
    await useNetwork(second, options);
    const old = await runSandbox();
    serveIn(node, node.footprint().netnses[0] ?? '', 80);

    node.installPlugins(programs[to]);
    const fresh = await runSandbox();
    // The reservations of the one are those of the other.
    expect([old.ip, fresh.ip]).toEqual([`10.${second}.0.2`, `10.${second}.0.3`]);
    expect(await ask(node.netns, old.ip, 80)).toContain(`eth0 ${old.ip}`);

    await discard(old.id);
    await discard(fresh.id);
    expect(node.footprint()).toEqual({ ...nothing, netfilter: before });
  },
);

// The reference bridge 1.1.1 deletes the link and then fails, because iptables 1.8.9 has no chain
// for a pod of weft. Called again, as the kubelet does, it finds no link and is content.
test('the reference bridge removes a masqueraded pod of weft when asked twice', async () => {
  const { cri, node } = containerd;
  const { netfilter: before } = node.footprint();
  node.installPlugins(programs.weft);
  await useNetwork(56, {});
  const { id, ip } = await runSandbox();

  node.installPlugins(programs.reference);
  await expect(cri.stopPodSandbox(id)).rejects.toThrow(
    `Chain '${masqueradeChain(56, id)}' does not exist`,
  );
  await discard(id);
  // What only weft knows of stays for its own clean-up.
  expect(node.footprint()).toEqual({ ...nothing, netfilter: [...before, ip].sort() });
});

test('a pod of weft passes the CHECK of the reference plugins, until its route is gone', async () => {
  const { node } = containerd;
  node.installPlugins(programs.weft);
  await useNetwork(57, { subnets: ['10.57.0.0/24', 'fd00:10:57::/64'] });
  const { id } = await runSandbox();

  node.installPlugins(programs.reference);
  const pod = { id, netns: node.footprint().netnses[0] ?? '' };
  expect(check(node, 'net-57', pod)).toMatchObject({ status: 0, stdout: '' });
  node.run('nsenter', `--net=/run/netns/${pod.netns}`, 'ip', 'route', 'del', 'default');
  expect(check(node, 'net-57', pod)).toMatchObject({ status: 1 });
});

test('a pod of the reference plugins passes the CHECK of weft, until its address is gone', async () => {
  const { node } = containerd;
  node.installPlugins(programs.reference);
  const subnets = ['10.59.0.0/24', 'fd00:10:59::/64'];
  await useNetwork(59, { subnets, usesPortmap: true });
  const { id, ip } = await runSandbox();

  node.installPlugins(programs.wholeWeft);
  const pod = { id, netns: node.footprint().netnses[0] ?? '' };
  expect(check(node, 'net-59', pod)).toMatchObject({ status: 0, stdout: '' });
  node.run(
    'nsenter',
    `--net=/run/netns/${pod.netns}`,
    'ip',
    'addr',
    'del',
    `${ip}/24`,
    'dev',
    'eth0',
  );
  expect(check(node, 'net-59', pod)).toMatchObject({
    status: 1,
    stdout: expect.stringContaining(`has lost the address ${ip}/24`),
  });
});

test('weft gives the addresses of pods that the reference bridge makes', async () => {
  const { node } = containerd;
  const { netfilter: before } = node.footprint();
  node.installPlugins(programs.weftAddresses);
  const subnets = ['10.60.0.0/24', 'fd00:10:60::/64'];
  await useNetwork(60, { subnets });
  const { id, ip } = await runSandbox();
  expect(ip).toBe('10.60.0.2');
  expect(node.footprint().addresses.toSorted()).toEqual(['10.60.0.2', 'fd00:10:60::2']);
  const pod = { id, netns: node.footprint().netnses[0] ?? '' };
  serveIn(node, pod.netns, 80);
  expect(await ask(node.netns, ip, 80)).toContain(`eth0 ${ip}`);
  expect(check(node, 'net-60', pod)).toMatchObject({ status: 0, stdout: '' });

  await discard(id);
  expect(node.footprint()).toEqual({ ...nothing, netfilter: before });
});

/** FormatChainName of the reference plugins' pkg/utils. */
function masqueradeChain(second: number, sandboxId: string): string {
  const hash = createHash('sha512').update(`net-${second}${sandboxId}`).digest('hex');
  return `CNI-${hash.slice(0, 24)}`;
}
