/** Denied connections, from the kernel's log group to lines for people. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Denials, type ToldDenial } from '../../src/agent/policy/denials.ts';
import { openConntrack } from '../../src/kernel/conntrack.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openPacketLog } from '../../src/kernel/packet-log.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import type { IPFamily } from '../../src/net/ip.ts';
import type { PolicyChange } from '../../src/policy/change.ts';
import { DENIED_LOG_GROUP } from '../../src/policy/log-group.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';
import { sendFrames, udpFrame } from '../support/forged-frames.ts';
import {
  labFacts,
  type OpenedEnforcer,
  openEnforcer,
  policyChange,
} from '../support/policy-enforcer.ts';
import { createPolicyLab, type PolicyLab } from '../support/policy-lab.ts';

const PATIENCE_MS = 200;
const ROUTER = '02:ee:00:00:00:01';

interface Seeing {
  readonly enforced: OpenedEnforcer;
  readonly denials: Denials;
  readonly close: () => Promise<void>;
}

let lab: PolicyLab;
/** By node. */
let seeing: Seeing[];

beforeAll(async () => {
  lab = await createPolicyLab({ pods: [['x/a', 'x/b'], ['y/a']], ports: [80, 81] });
}, 60_000);
afterAll(() => lab?.remove());

beforeEach(() => {
  seeing = lab.nodes.map(({ nodeName, netns }, i) => see(nodeName, netns, i));
});

afterEach(async () => {
  for (const { close } of seeing) await close();
  for (const { netns } of lab.nodes) {
    netns.run('nft', 'flush', 'ruleset');
    netns.run('conntrack', '-F');
  }
});

function see(nodeName: string, at: PolicyLab['nodes'][number]['netns'], i: number): Seeing {
  const enforced = openEnforcer(at, nodeName, { logGroup: DENIED_LOG_GROUP });
  for (const change of labFacts(lab, i)) enforced.enforcer.apply(change);
  const netns = netnses.open(at.path);
  const conntrack = openConntrack(netns);
  const denials = new Denials({
    world: () => enforced.enforcer.world(),
    flowOf: (packet) => conntrack.flowOf(packet),
    clock: systemClock,
    log: createLogger('silent'),
    onTold: () => {},
  });
  const log = openPacketLog({ group: DENIED_LOG_GROUP, netns }, (packets) => denials.add(packets));
  const close = async () => {
    for (const each of [log, conntrack, netns]) each.close();
    await enforced.close();
  };
  return { enforced, denials, close };
}

function tell(...changes: readonly PolicyChange[]): void {
  for (const { enforced } of seeing) {
    for (const change of changes) enforced.enforcer.apply(change);
    enforced.enforcer.setSynced();
    enforced.enforcer.commit();
  }
}

const WEB = policyChange(`{kind: NetworkPolicy, metadata: {namespace: y, name: web}, spec: {
  podSelector: {matchLabels: {pod: a}},
  ingress: [{from: [{namespaceSelector: {matchLabels: {name: x}}}], ports: [{port: 80}]}]}}`);

interface Connection {
  readonly from: string;
  readonly to?: string;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP';
  readonly port: number;
  readonly family?: IPFamily;
}

async function connect({ from, to = 'y/a', protocol, port, family = 4 }: Connection) {
  const host = /^[\d.]+$/.test(to) ? to : lab.party(to).ips[family];
  const [outcome] = await lab.sockets.try(
    [{ from: lab.party(from).index, protocol, host, port }],
    PATIENCE_MS,
  );
  return outcome?.kind;
}

/** What the node tells, once it tells something. */
async function told(node: number): Promise<readonly ToldDenial[]> {
  const { denials } = seeing[node] ?? {};
  await expect.poll(() => denials?.recent().length, { timeout: 5_000 }).toBeGreaterThan(0);
  return denials?.recent() ?? [];
}

test.each([
  { from: 'x/a', protocol: 'TCP', port: 81 },
  { from: 'x/a', protocol: 'UDP', port: 80 },
  { from: 'x/a', protocol: 'SCTP', port: 80 },
  { from: 'x/a', protocol: 'ICMP', port: 0 },
  { from: 'x/b', protocol: 'TCP', port: 81, family: 6 },
  { from: 'x/b', protocol: 'ICMP', port: 0, family: 6 },
  { from: 'outside', protocol: 'TCP', port: 80, family: 4 },
] as const)('$protocol $port from $from, as the policy denies it', async (connection) => {
  tell(WEB);
  const { from, protocol, port } = connection;
  expect(await connect(connection)).not.toBe('answered');
  const isOutside = from === 'outside';
  expect(await told(1)).toMatchObject([
    {
      ...{ from: isOutside ? lab.outside.ips[4] : from, to: 'y/a', pod: 'y/a' },
      ...{ protocol, port, direction: 'ingress', policies: ['NetworkPolicy y/web'] },
    },
  ]);
  expect(seeing[0]?.denials.recent()).toEqual([]);
});

test('egress is told by the node of the sender', async () => {
  tell(
    policyChange(`{kind: ClusterNetworkPolicy, metadata: {name: no-y}, spec: {
      tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {name: x}}},
      egress: [{name: why, action: Deny, to: [{namespaces: {matchLabels: {name: y}}}]}]}}`),
  );
  await connect({ from: 'x/a', protocol: 'TCP', port: 80 });
  expect(await told(0)).toMatchObject([
    {
      ...{ from: 'x/a', to: 'y/a', pod: 'x/a', direction: 'egress', port: 80 },
      policies: ['ClusterNetworkPolicy no-y'],
      reason: 'egress: ClusterNetworkPolicy (Admin) no-y, egress[0] "why", denies it',
    },
  ]);
});

test('to a Service: the pod that would have answered, at its own port', async () => {
  tell(WEB);
  const node = lab.nodes[0]?.netns;
  node?.run('nft', 'add table ip t; add chain ip t n { type nat hook prerouting priority -100; }');
  const endpoint = `${lab.party('y/a').ips[4]}:81`;
  node?.run('nft', `add rule ip t n ip daddr 172.30.0.1 tcp dport 443 dnat to ${endpoint}`);
  await connect({ from: 'x/a', to: '172.30.0.1', protocol: 'TCP', port: 443 });
  expect(await told(1)).toMatchObject([{ from: 'x/a', to: 'y/a', port: 81 }]);
});

test('a connection that is not allowed any more, by whichever packet meets the policy', async () => {
  tell(WEB);
  const { index } = lab.party('x/a');
  const host = lab.party('y/a').ips[4];
  lab.sockets.openStream({ from: index, protocol: 'TCP', host, port: 80 });
  const bytes = async () => (await lab.sockets.streams()).map((stream) => stream.bytes);
  await expect.poll(async () => (await bytes()).every((count) => count > 1000)).toBe(true);
  tell(
    policyChange(`{kind: NetworkPolicy, metadata: {namespace: y, name: web}, spec: {
      podSelector: {matchLabels: {pod: a}}, ingress: []}}`),
  );
  const names = (await told(1)).map(({ from, to, port, direction }) => [from, to, port, direction]);
  expect(new Set(names.map((each) => each.join(' ')))).toEqual(new Set(['x/a y/a 80 ingress']));
});

test('a flood is bounded in the kernel, and what was not handed over is counted by policy', async () => {
  tell(WEB);
  const ports = Array.from({ length: 500 }, (_, i) => 1_000 + i);
  const flood = ports.map((port) => ({
    ...{ from: lab.party('x/a').index, protocol: 'UDP' as const, port },
    host: lab.party('y/a').ips[4],
  }));
  await lab.sockets.try(flood, PATIENCE_MS);
  await told(1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const { enforced, denials } = seeing[1] ?? {};
  const { told: lines = 0, suppressed = 0 } = denials?.counts ?? {};
  expect(lines).toBeLessThanOrEqual(60);
  expect(lines + suppressed).toBeLessThan(200);
  const counted = await enforced?.enforcer.counters();
  expect(counted).toMatchObject([{ policy: 'y/web', direction: 'ingress', allowed: 0 }]);
  expect(counted?.[0]?.denied).toBeGreaterThanOrEqual(500);
});

test('nothing is told while that is off, and of refusals only those that are on', async () => {
  tell(WEB);
  const { enforced, denials } = seeing[1] ?? {};
  const settings = { clusterCIDRs: [parseCidr('10.244.0.0/16')] };
  const attempt = { from: 'x/a', protocol: 'TCP', port: 81 } as const;
  enforced?.enforcer.reconfigure({ ...settings, deniedInside: 'drop', logGroup: undefined });
  enforced?.enforcer.commit();
  expect(await connect(attempt)).toBe('silent');
  expect(denials?.recent()).toEqual([]);
  const logGroup = DENIED_LOG_GROUP;
  enforced?.enforcer.reconfigure({ ...settings, deniedInside: 'reject', logGroup });
  enforced?.enforcer.commit();
  expect(await connect(attempt)).toBe('reset');
  expect(await told(1)).toHaveLength(1);
});

test('a pod that makes noise does not drown another one', async () => {
  tell(WEB);
  const [source, destination] = [lab.party('x/a').ips[4], lab.party('y/a').ips[4]];
  const noise = Array.from({ length: 3_000 }, (_, i) =>
    udpFrame({ from: '02:00:00:00:00:99', to: ROUTER }, { source, destination }, 1_000 + i),
  );
  sendFrames(lab.party('x/a').netns, noise);
  await connect({ from: 'x/b', protocol: 'TCP', port: 81 });
  const { denials } = seeing[1] ?? {};
  await expect
    .poll(() => denials?.recent().filter(({ from }) => from === 'x/b').length, { timeout: 5_000 })
    .toBeGreaterThan(0);
  // One that is told as well, as far as its share goes.
  const noisy = denials?.recent().filter(({ from }) => from === 'x/a').length;
  expect(noisy).toBeGreaterThan(0);
  expect(noisy).toBeLessThan(20);
});
