/** What people break, and whether `weft explain` names it with and without a packet. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { askAgent } from '../../src/agent/debug/client.ts';
import type { CauseId } from '../../src/agent/debug/explain/cause.ts';
import type { Outcome } from '../../src/agent/debug/explain/outcome.ts';
import type { ExplainAnswer } from '../../src/agent/debug/explain.ts';
import { explainText } from '../../src/agent/debug/explain-text.ts';
import { runCure } from '../support/cure.ts';
import { LabAgent } from '../support/flows/agent.ts';
import { IPV4, IPV6 } from '../support/flows/net.ts';
import { endpointsOf, loadBalancer, sliceOf } from '../support/flows/objects.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { recordPod } from '../support/pod-records.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { until } from '../support/until.ts';
import { probe, startIn } from '../support/workloads.ts';

let lab: ProxyLab;
let agent: LabAgent;

const SERVICE = { apiVersion: 'v1', kind: 'Service' };
const SLICE = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };

beforeAll(async () => {
  lab = await createProxyLab();
  agent = new LabAgent(lab);
  writeService('here', 1, 'a');
  writeService('far', 2, 'remote');
  writeService('dead', 3, 'a', 9999);
  writeService('none', 4, undefined);
  record('client', lab.client, [IPV4.client, IPV6.client], 'pod0');
  record('a', lab.podA, [IPV4.podA, IPV6.podA], 'pod1');
  await agent.start();
});

afterAll(async () => {
  await agent.remove();
  await lab.remove();
});

function record(
  name: string,
  netns: ProxyLab['client'],
  [ip, ipv6]: readonly [string, string],
  hostLink: string,
): void {
  recordPod(agent.runDir, {
    name,
    netns,
    addresses: [`${ip}/24`, `${ipv6}/64`],
    bridge: 'br0',
    hostLink,
  });
}

function writeService(name: string, n: number, at: 'a' | 'remote' | undefined, port = 8080): void {
  const service = loadBalancer(name, IPV4, n, { nodePort: 0, ips: [IPV4.lb(n)] });
  agent.writeObject(name, { ...SERVICE, ...service });
  const slice = sliceOf(name, at === undefined ? [] : endpointsOf(IPV4, at));
  const ports = [{ name: 'http', protocol: 'TCP', port }];
  agent.writeObject(`${name}-slice`, { ...SLICE, ...slice, ports });
}

interface Asked {
  readonly from?: string;
  readonly to: string;
  readonly isLive?: boolean;
  readonly isSent?: boolean;
  readonly inInterface?: string;
  readonly protocol?: 'tcp' | 'udp';
}

async function ask({
  from = 'default/client',
  to,
  isLive = false,
  ...rest
}: Asked): Promise<ExplainAnswer> {
  const [, name = '', port = ''] = /^\[?(.*?)\]?:(\w+)$/.exec(to) ?? [];
  const { isSent = isLive, inInterface, protocol = 'tcp' } = rest;
  const request = {
    command: 'explain',
    packet: {
      from,
      to: name,
      port,
      protocol,
      ...(inInterface === undefined ? {} : { inInterface }),
    },
    liveTimeoutMs: isLive ? 5_000 : undefined,
    ...(isSent ? { content: 'empty' } : {}),
  };
  // The agent answers a request of this command with this shape.
  return (await askAgent(agent.runDir, request)) as ExplainAnswer;
}

interface AskedOfMode extends Asked {
  readonly outcome: Outcome;
  readonly says: string;
  readonly cause?: CauseId;
}

const node = (command: string, ...words: readonly string[]) => lab.node.run(command, ...words);
const sysctl = (setting: string) => node('sysctl', '-qw', setting);
const ipRoute = (...words: readonly string[]) => node('ip', 'route', ...words);

interface Broken {
  readonly name: string;
  readonly breakIt?: () => void;
  readonly mend?: () => void;
  /** Its cure begins with a command, which makes it well. */
  readonly isCured?: true;
  readonly asked: Asked;
  /** Without a packet; absent: nothing is wrong that the model knows. */
  readonly model?: { readonly outcome: Outcome; readonly cause?: CauseId; readonly says?: RegExp };
  readonly live: {
    readonly outcome: Outcome;
    readonly orElse?: Outcome;
    readonly cause?: CauseId;
    readonly says?: RegExp;
  };
}

const FOREIGN =
  'add table ip foreign; add chain ip foreign f { type filter hook forward priority 0; }';

const BROKEN: readonly Broken[] = [
  {
    name: 'nothing, across nodes',
    asked: { to: 'ns/far:http' },
    model: { outcome: 'allowed', says: /out by eth0 via 192\.168\.0\.2/ },
    live: { outcome: 'allowed', says: /the reply \(an answer\)/ },
  },
  {
    name: 'nothing, from this node',
    asked: { from: 'node/node-a', to: 'ns/here:http' },
    live: { outcome: 'allowed', says: /to this node itself/ },
  },
  {
    name: 'no endpoint',
    asked: { to: 'ns/none:80' },
    model: { outcome: 'refused', cause: 'no-endpoints', says: /selector of Service ns\/none/ },
    live: { outcome: 'refused' },
  },
  {
    name: 'the endpoint does not listen',
    asked: { to: 'ns/dead:http' },
    live: { outcome: 'refused', cause: 'not-listening', says: /10\.1\.0\.3:9999 answers RST/ },
  },
  {
    name: 'no forwarding',
    breakIt: () => sysctl('net.ipv4.ip_forward=0'),
    mend: () => sysctl('net.ipv4.ip_forward=1'),
    isCured: true,
    asked: { to: 'ns/far:http' },
    model: { outcome: 'dropped', cause: 'forwarding', says: /sysctl -w net\.ipv4\.ip_forward=1/ },
    live: { outcome: 'dropped', cause: 'forwarding' },
  },
  {
    name: 'no bridge-nf-call',
    breakIt: () => sysctl('net.bridge.bridge-nf-call-iptables=0'),
    mend: () => sysctl('net.bridge.bridge-nf-call-iptables=1'),
    isCured: true,
    asked: { to: 'ns/here:http' },
    model: { outcome: 'dropped', cause: 'bridge-nf-call', says: /bridge-nf-call-iptables=1/ },
    live: { outcome: 'dropped', cause: 'untranslated', says: /to the client from 10\.1\.0\.3/ },
  },
  {
    name: 'no route to the other node',
    breakIt: () => {
      ipRoute('del', '10.2.0.0/24');
      ipRoute('del', 'default');
    },
    mend: () => {
      ipRoute('add', '10.2.0.0/24', 'via', '192.168.0.2');
      ipRoute('add', 'default', 'via', IPV4.outside);
    },
    asked: { to: 'ns/far:http' },
    model: { outcome: 'refused', cause: 'no-route', says: /no route to 10\.2\.0\.2/ },
    // The kernel tells a client only now and then (ip_error, net/ipv4/route.c).
    live: {
      outcome: 'refused',
      orElse: 'dropped',
      cause: 'no-route',
      says: /routing.*\n.*no route to 10\.2\.0\.2/s,
    },
  },
  {
    name: "the pod's default route is gone",
    breakIt: () => lab.client.run('ip', 'route', 'del', 'default'),
    mend: () => lab.client.run('ip', 'route', 'add', 'default', 'via', IPV4.bridge),
    asked: { to: 'ns/far:http' },
    model: { outcome: 'dropped', cause: 'pod-route' },
    live: { outcome: 'dropped', cause: 'pod-route' },
  },
  {
    name: 'FORWARD policy DROP of iptables-nft',
    breakIt: () => node('iptables-nft', '-P', 'FORWARD', 'DROP'),
    mend: () => node('nft', 'delete', 'table', 'ip', 'filter'),
    isCured: true,
    asked: { to: 'ns/far:http' },
    model: { outcome: 'dropped', cause: 'foreign-rule', says: /iptables -P FORWARD ACCEPT/ },
    live: { outcome: 'dropped', cause: 'foreign-rule', says: /That is what the model says/ },
  },
  {
    name: 'FORWARD policy DROP of iptables-legacy',
    breakIt: () => node('iptables-legacy', '-P', 'FORWARD', 'DROP'),
    mend: () => node('iptables-legacy', '-P', 'FORWARD', 'ACCEPT'),
    isCured: true,
    asked: { to: 'ns/far:http' },
    model: { outcome: 'dropped', cause: 'foreign-rule', says: /iptables-legacy -P FORWARD ACCEPT/ },
    live: { outcome: 'dropped', cause: 'unseen-rule', says: /rule "-P FORWARD DROP"/ },
  },
  {
    name: 'a foreign rule that drops the reply',
    breakIt: () =>
      node(
        'nft',
        `${FOREIGN}; add rule ip foreign f ct direction reply drop comment "no way back"`,
      ),
    mend: () => node('nft', 'delete', 'table', 'ip', 'foreign'),
    asked: { to: 'ns/far:http' },
    live: {
      outcome: 'differs',
      cause: 'foreign-rule',
      says: /Dropped \(reply\): a rule of table ip foreign, chain f, drops it: handle \d+ \("no way back"\)/,
    },
  },
  {
    name: 'a foreign rule in front of connection tracking',
    breakIt: () =>
      node(
        'nft',
        'add table ip foreign; add chain ip foreign f { type filter hook prerouting priority -300; }; add rule ip foreign f ip daddr 172.30.0.2 drop',
      ),
    mend: () => node('nft', 'delete', 'table', 'ip', 'foreign'),
    asked: { to: 'ns/far:http' },
    model: { outcome: 'dropped', cause: 'foreign-rule' },
    live: { outcome: 'dropped', cause: 'foreign-rule' },
  },
];

/** Somebody else's packet is waited for, and sent once the table is there. */
async function watch(asked: Asked): Promise<ExplainAnswer> {
  const answer = ask({ ...asked, isLive: true, isSent: false });
  await until('packets are watched for', () =>
    node('nft', 'list', 'tables').includes('weft-trace-'),
  );
  await probe(lab.outside.path, { host: IPV4.lb(1), port: 80, timeoutMs: 200 });
  return await answer;
}

describe('a packet from outside', () => {
  const asked = { from: IPV4.outside, to: `${IPV4.lb(1)}:80` };

  test('arrives', async () => {
    expect(await watch(asked)).toMatchObject({
      outcome: 'allowed',
      live: { isNewConnection: true },
    });
  });

  test('comes in by another link than the way back, with rp_filter', async () => {
    sysctl('net.ipv4.conf.eth1.rp_filter=1');
    ipRoute('add', `${IPV4.outside}/32`, 'via', '192.168.0.2');
    try {
      const cause = {
        id: 'rp-filter',
        seen: expect.stringContaining(
          'rp_filter is 1 (strict) on eth1, where packets from 203.0.113.2 come in, and the way back is by eth0',
        ),
        cure: expect.stringContaining('sysctl -w net.ipv4.conf.eth1.rp_filter=2'),
      };
      const said = await ask({ ...asked, inInterface: 'eth1' });
      expect(said).toMatchObject({ outcome: 'dropped', causes: [cause] });
      expect(await watch({ ...asked, inInterface: 'eth1' })).toMatchObject({
        outcome: 'dropped',
        live: { causes: [cause] },
      });
      // Without the interface the model cannot know it; the packet tells.
      expect(await watch(asked)).toMatchObject({ outcome: 'differs', live: { causes: [cause] } });
    } finally {
      ipRoute('del', `${IPV4.outside}/32`);
      sysctl('net.ipv4.conf.eth1.rp_filter=0');
    }
  });
});

describe('IPv6', () => {
  test.each([
    { protocol: 'tcp', to: IPV6.remote },
    // The server answers datagrams from the first address of its link.
    { protocol: 'udp', to: IPV6.podA },
  ] as const)('a pod, $protocol', async ({ protocol, to }) => {
    const asked = { from: IPV6.client, to: `[${to}]:8080`, protocol };
    expect(await ask({ ...asked, isLive: true })).toMatchObject({
      outcome: 'allowed',
      live: { reply: { kind: 'answered' } },
    });
  });
});

/** Lines may be broken where a word ends. */
const textOf = (answer: ExplainAnswer) => explainText(answer).replace(/\n {4,}(?! )/g, ' ');

describe.each(BROKEN)('$name', ({ breakIt, mend, isCured, asked, model, live }) => {
  test('is told', async () => {
    breakIt?.();
    try {
      const said = await ask(asked);
      const expected = model ?? { outcome: 'allowed' };
      expect([said.outcome, textOf(said)]).toEqual([
        expected.outcome,
        expect.stringMatching(expected.says ?? /./),
      ]);
      expect(said.causes[0]?.id).toBe(expected.cause);
      const seen = await ask({ ...asked, isLive: true });
      const outcome = seen.outcome === live.orElse ? live.outcome : seen.outcome;
      expect([outcome, textOf(seen)]).toEqual([
        live.outcome,
        expect.stringMatching(live.says ?? /./),
      ]);
      const causes = [...(seen.live?.causes ?? []), ...seen.causes].map(({ id }) => id);
      if (live.cause !== undefined) expect(causes).toContain(live.cause);
      if (isCured !== true) return;
      runCure(lab.node, said.causes[0]?.cure ?? '');
      expect((await ask({ ...asked, isLive: true })).outcome).toBe('allowed');
    } finally {
      mend?.();
    }
  });
});

describe('another namespace at the path of a pod on record', () => {
  const MOVED = '10.1.0.77';
  let moved: TestNetns;

  beforeAll(() => {
    moved = createNetns('moved');
    record('moved', moved, [MOVED, 'fd00:1::77'], 'pod7');
    execFileSync('ip', ['netns', 'del', moved.name]);
    execFileSync('ip', ['netns', 'add', moved.name]);
    // A frame would leave by it.
    moved.batch([
      'link add eth0 type veth peer name end',
      'link set eth0 up',
      'link set end up',
      `addr add ${MOVED}/24 dev eth0`,
      `route add default via ${IPV4.bridge}`,
    ]);
  });

  afterAll(() => moved.remove());

  const frames = () =>
    /^end: +\d+ +(\d+)/m.exec(moved.run('sed', 's/^ *//', '/proc/thread-self/net/dev'))?.[1];

  test('nothing is sent from there, and explain says so', async () => {
    moved.run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
    const before = frames();
    const said = await ask({ from: 'default/moved', to: 'ns/far:http', isLive: true });
    expect(said.live).toBeUndefined();
    expect(said.causes).toMatchObject([{ id: 'pod-netns', direction: 'request' }]);
    expect(textOf(said)).toContain(
      `pod default/moved has lost its network namespace: another network namespace is at ${moved.path}`,
    );
    expect([before, frames()]).toEqual([expect.any(String), before]);
  });

  test('and it is not taken for the receiver', async () => {
    const asked = { to: `${MOVED}:80`, isLive: true };
    await expect(ask(asked)).rejects.toThrow(`another network namespace is at ${moved.path}`);
  });
});

describe('mode iptables', () => {
  beforeAll(async () => {
    await agent.end();
    await agent.start('0s', { mode: 'iptables' });
  });

  test.each([
    { to: 'ns/far:http', outcome: 'allowed' },
    { to: 'ns/none:http', outcome: 'refused' },
    { to: 'ns/dead:http', outcome: 'refused', cause: 'not-listening' },
  ])('$to is $outcome', async ({ to, outcome, cause }) => {
    await until('the rules are there', async () => (await ask({ to })).pending === 0);
    const seen = await ask({ to, isLive: true });
    expect([seen.outcome, textOf(seen)]).toEqual([
      outcome,
      expect.stringContaining('Live, a packet on its way'),
    ]);
    expect(seen.live?.causes[0]?.id).toBe(cause);
  });
});

describe('mode userspace', () => {
  beforeAll(async () => {
    await agent.end();
    await agent.start('0s', { mode: 'userspace' });
    await until('rules serve no more', () => !node('iptables-save').includes('KUBE-SERVICES'));
  });

  const [far, none, dead] = [2, 4, 3].map((n) => `${IPV4.vip(n)}:80`);

  test.each([
    {
      to: 'ns/far:http',
      outcome: 'allowed',
      says: `this agent listens at ${far} the agent, from ${far} -> 10.2.0.2:8080 answers`,
    },
    {
      from: 'node/node-a',
      to: 'ns/here:http',
      outcome: 'allowed',
      says: '-> 10.1.0.3:8080 answers',
    },
    { to: 'ns/none:http', outcome: 'refused', says: `at ${none} of this node it is refused` },
    {
      to: 'ns/dead:http',
      outcome: 'refused',
      says: `the agent, from ${dead} -> 10.1.0.3:9999 refuses`,
      cause: 'not-listening',
    },
  ] as const)('$to is $outcome', async ({ outcome, says, cause, ...asked }: AskedOfMode) => {
    const seen = await ask({ ...asked, isLive: true });
    expect([seen.outcome, textOf(seen)]).toEqual([outcome, expect.stringContaining(says)]);
    expect(textOf(seen)).toContain('That is what the model says.');
    expect(seen.live?.causes[0]?.id).toBe(cause);
  });

  test('a program that has the port on all addresses: the agent listens at another one', async () => {
    const script =
      "require('net').createServer().listen(80, '0.0.0.0', () => console.log('ready'))";
    await agent.end();
    const program = await startIn(lab.node.path, [process.execPath, '-e', script], 'ready');
    await agent.start('0s', { mode: 'userspace' });
    await until('the agent listens', async () => (await ask({ to: 'ns/far:http' })).pending === 0);
    const seen = await ask({ to: 'ns/far:http', isLive: true });
    await program.end();
    expect([seen.outcome, textOf(seen)]).toEqual([
      'allowed',
      expect.stringMatching(/this agent listens at 172\.30\.0\.2:(?!80 )\d+ /),
    ]);
  });
});

test('a clusterCIDR that leaves pods out: the packet is masqueraded as the model says', async () => {
  await agent.end();
  await agent.start('0s', { clusterCIDR: '10.99.0.0/16,fd00:99::/32' });
  const seen = await ask({ to: 'ns/far:http', isLive: true });
  expect(seen).toMatchObject({
    outcome: 'allowed',
    causes: [{ id: 'pod-not-local', cure: expect.stringContaining('set clusterCIDR') }],
    live: { agreesWithModel: true, outcome: { source: IPV4.node } },
  });
});
