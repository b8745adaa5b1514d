/** Subnet leases in Debian's etcd: races for them, and a node of weft's beside one as flannel makes it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { SubnetKeeper } from '../../src/agent/fabric/subnet-keeper.ts';
import { SubnetStore } from '../../src/agent/objects/subnet-store.ts';
import type { AgentStatus } from '../../src/agent/status/values.ts';
import { openBootGate } from '../../src/cni/boot-gate.ts';
import { readBootId } from '../../src/cni/machine.ts';
import { openRecords } from '../../src/cni/upkeep/records.ts';
import { tunnelMac } from '../../src/fabric/names.ts';
import { parseSubnetKey, type Subnets, subnetKey } from '../../src/fabric/subnets/lease.ts';
import { EtcdGateway, type EtcdUser } from '../../src/kube/etcd/gateway.ts';
import { ipv4FromNumber, parseIP } from '../../src/net/ip.ts';
import { systemClock } from '../../src/util/clock.ts';
import { freePorts, hostPlace, TestEtcd } from '../support/etcd.ts';
import { recordingLog } from '../support/kube.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';

const WEFT = join(import.meta.dirname, '../../src/cli/weft.ts');
const NETWORK = '/coreos.com/network';
const CONFIG = { Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } };

async function startEtcd(): Promise<TestEtcd> {
  const etcd = new TestEtcd(hostPlace(), { port: await freePorts() });
  onTestFinished(() => etcd.remove());
  await etcd.start();
  return etcd;
}

function storeOf(etcd: TestEtcd, user?: EtcdUser): SubnetStore {
  const credentials = {
    ...{ current: async () => ({}), certificates: async () => [] },
    ...{ authority: async () => undefined, invalidate: () => {} },
  };
  const gateway = new EtcdGateway({
    accesses: etcd.endpoints.map((url) => ({
      ...{ server: new URL(url), isTlsVerified: true },
      credentials,
    })),
    ...{ version: '0', clock: systemClock, user },
  });
  onTestFinished(() => gateway.close());
  return new SubnetStore(gateway, NETWORK);
}

test('1,000 races for a subnet have one winner each', async () => {
  const etcd = await startEtcd();
  const signal = AbortSignal.timeout(50_000);
  const [one, other] = [storeOf(etcd), storeOf(etcd)];
  const leaseId = await one.grant(signal);
  let races = 0;
  const race = async (n: number) => {
    // One of them with a second family in its key, which is another key of the same subnet.
    const four = parseSubnetKey(`${ipv4FromNumber(0x0a_00_00_00 + n * 256)}-24`);
    if (four === undefined) throw new Error('no subnet');
    const both = parseSubnetKey(`${subnetKey(four)}&fd00:0:0:${n.toString(16)}::-64`) ?? four;
    const won = await Promise.all([
      one.claim(four, 'one', leaseId, signal),
      other.claim(n % 2 === 0 ? both : four, 'other', leaseId, signal),
    ]);
    if (won.filter(Boolean).length === 1) races++;
  };
  for (let n = 1; n <= 1_000; n += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, i) => race(n + i)));
  }
  expect(races).toBe(1_000);
  expect((await one.read(signal)).leases).toHaveLength(1_000);
}, 60_000);

test('forty nodes that start at once have a subnet each; what changed meanwhile is read again', async () => {
  const etcd = await startEtcd();
  etcd.put(`${NETWORK}/config`, CONFIG);
  etcd.enableUser('weft', 's3cret', [['readwrite', `${NETWORK}/`]]);
  const store = storeOf(etcd, { name: 'weft', password: () => 's3cret' });
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  const { log } = recordingLog();
  const formers = Array.from({ length: 40 }, (_, n) => {
    let former: Subnets | undefined;
    const write = (subnets: Subnets) => {
      former = subnets;
    };
    const keeper = new SubnetKeeper({
      ...{ store, clock: systemClock, random: Math.random, log },
      own: () => ({ nodeName: `n${n}`, addresses: { 4: parseIP(`192.0.2.${n + 1}`) } }),
      former: { read: () => former, write },
      ...{ hasPodsIn: () => false, onChange: () => {}, signal: abort.signal },
    });
    onTestFinished(() => keeper.stop());
    keeper.look();
    return { keeper, former: () => former?.[0] };
  });
  await until('all have one', () => formers.every(({ former }) => former() !== undefined));
  expect(new Set(formers.map(({ former }) => former())).size).toBe(40);
  const { leases } = await store.read(abort.signal);
  expect(leases.map(({ value }) => value?.nodeName).sort()).toEqual(
    formers.map((_, n) => `n${n}`).sort(),
  );
  // A lease of the same node that says something else is put right, unless it changes once more.
  const [lease] = leases;
  if (lease === undefined) throw new Error('no lease');
  expect(await store.keepAlive(lease.leaseId, abort.signal)).toBe(true);
  expect(await store.update(lease, lease.text, lease.leaseId, abort.signal)).toBe(true);
  expect(await store.update(lease, lease.text, lease.leaseId, abort.signal)).toBe(false);
});

const FLANNEL_MAC = 'e6:6a:92:c0:4d:11';
let router: TestNetns;
let weft: TestNetns;
let flannel: TestNetns;
let etcd: TestEtcd;
let directory: string;
let agent: RunningProgram;

/** Two nodes with a router between them, a pod of each as an address of its bridge; etcd is on weft's. */
beforeAll(async () => {
  [router, weft, flannel] = [createNetns('el-r'), createNetns('el-w'), createNetns('el-f')];
  for (const netns of [router, weft, flannel]) netns.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  for (const [n, netns] of [weft, flannel].entries()) {
    const address = `192.0.${n + 1}.1/24`;
    connect(
      { netns: router, link: `to${n}`, addresses: [`192.0.${n + 1}.254/24`] },
      { netns, link: 'eth0', addresses: [address] },
    );
    netns.batch([
      `route add default via 192.0.${n + 1}.254`,
      'link add cni0 type bridge',
      'link set cni0 up',
    ]);
  }
  directory = mkdtempSync(join(tmpdir(), 'weft-leases-'));
  etcd = new TestEtcd(weft);
  await etcd.start();
  const config = {
    ...{ components: ['fabric'], nodeName: 'node-w', runDir: join(directory, 'run') },
    ...{ stateDir: join(directory, 'state'), etcd: { endpoints: etcd.endpoints } },
    fabric: { manageConflist: false, probePort: 0 },
  };
  writeFileSync(join(directory, 'weft.json'), JSON.stringify(config));
  const command = [process.execPath, WEFT, 'agent', '--config', join(directory, 'weft.json')];
  agent = await startIn(weft.path, command, 'agent started');
}, 60_000);

afterAll(async () => {
  await agent.end();
  await etcd.remove();
  for (const netns of [router, weft, flannel]) netns.remove();
  rmSync(directory, { recursive: true, force: true });
});

function problems(): string {
  const question = [WEFT, 'status', '--json', '--run-dir', join(directory, 'run')];
  // The shape is the agent's own.
  const status = JSON.parse(weft.attempt(process.execPath, question).stdout) as AgentStatus;
  return status.problems.join('\n');
}

function ownSubnet(): string | undefined {
  const keys = etcd.ctl('get', '--prefix', `${NETWORK}/subnets/`).split('\n');
  const at = keys.findIndex((line) => line.includes('"NodeName":"node-w"'));
  return keys[at - 1]?.slice(`${NETWORK}/subnets/`.length);
}

const podOf = (subnet: string) => subnet.replace(/\.0-24$/, '.5');
const gate = () =>
  openBootGate({ component: 'fabric', runDirectory: join(directory, 'run'), bootId: readBootId });

/** What flannel does for its own subnet, and for a peer whose lease it has read (pkg/backend/vxlan). */
function actAsFlannel(peer: string): void {
  const gateway = peer.replace(/-24$/, '');
  flannel.batch([
    `link add flannel.1 address ${FLANNEL_MAC} type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 nolearning`,
    'addr add 10.244.200.0/32 dev flannel.1',
    'link set flannel.1 up',
    'addr add 10.244.200.5/24 dev cni0',
    `neigh replace ${gateway} dev flannel.1 lladdr ${tunnelMac('node-w')} nud permanent`,
    `route replace ${gateway}/24 via ${gateway} dev flannel.1 onlink src 10.244.200.0`,
  ]);
  flannel.run(
    ...(['bridge', 'fdb', 'replace', tunnelMac('node-w'), 'dev', 'flannel.1'] as const),
    ...['dst', '192.0.1.1', 'self', 'permanent'],
  );
}

test('a node without a network configuration says what it waits for', async () => {
  await until('it is said', () =>
    problems().includes(`there is no ${NETWORK}/config: put one, such as`),
  );
});

test('pods of a flannel node and of a weft node reach each other', async () => {
  etcd.put(`${NETWORK}/config`, CONFIG);
  const subnet = await until('the lease', ownSubnet);
  expect(etcd.ctl('lease', 'list')).toMatch(/found 1 leases/);
  const attributes = {
    ...{ PublicIP: '192.0.2.1', PublicIPv6: null, BackendType: 'vxlan' },
    BackendData: { VNI: 1, VtepMAC: FLANNEL_MAC },
  };
  etcd.put(`${NETWORK}/subnets/10.244.200.0-24`, attributes);
  weft.run('ip', 'addr', 'add', `${podOf(subnet)}/24`, 'dev', 'cni0');
  actAsFlannel(subnet);
  await until('weft knows the way', () => weft.run('ip', 'route').includes('10.244.200.0/24'));
  expect(weft.run('ip', '-d', 'link', 'show', 'weft-vxlan')).toMatch(/vxlan id 1 .*dstport 8472/);
  const ping = (netns: TestNetns, from: string, to: string) =>
    netns.attempt('ping', ['-c1', '-W1', '-I', from, to]).status === 0;
  await until('one way', () => ping(weft, podOf(subnet), '10.244.200.5'));
  await until('and the other', () => ping(flannel, '10.244.200.5', podOf(subnet)));
  await until('pods may start', () => gate().awaited() === undefined);
});

test('a lease that is lost is claimed again, the same; with pods there is no other', async () => {
  const subnet = (await until('the lease', ownSubnet)) ?? '';
  const before = weft.run('ip', 'route');
  etcd.ctl('del', `${NETWORK}/subnets/${subnet}`);
  expect(await until('it is there again', ownSubnet)).toBe(subnet);
  expect(weft.run('ip', 'route')).toBe(before);

  recordPod(podOf(subnet));
  const value = { PublicIP: '192.0.2.7', BackendType: 'vxlan', BackendData: { VNI: 1 } };
  etcd.put(`${NETWORK}/subnets/${subnet}`, value);
  await until('no more pods', () => gate().awaited()?.includes('is leased to 192.0.2.7 now'));
  expect(problems()).toContain('its pods keep running, and no new ones start');
  expect(weft.run('ip', 'route')).toContain('10.244.200.0/24');
  etcd.ctl('del', `${NETWORK}/subnets/${subnet}`);
  expect(await until('it is there again', ownSubnet)).toBe(subnet);
  await until('pods may start', () => gate().awaited() === undefined);
});

/** A pod of this node on record, as an ADD leaves it. */
function recordPod(address: string): void {
  const records = openRecords(join(directory, 'run', 'attachments'), {
    ...{ bootId: readBootId, now: () => Date.now() },
  });
  records.write({
    attachment: { network: 'weft', containerId: 'pod', ifName: 'eth0' },
    ...{ netns: { path: weft.path, id: '0:0' }, pod: {}, addresses: [parseIP(address)] },
  });
}
