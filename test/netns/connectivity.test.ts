/** `weft connectivity-test` against pods in namespaces, through an API server and from records. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { askAgent } from '../../src/agent/debug/client.ts';
import { lockConnectivityTest } from '../../src/agent/run-dir.ts';
import { HOST_PORT } from '../../src/cli/connectivity/objects.ts';
import { type ConnectivityEffects, runConnectivityTest } from '../../src/cli/connectivity/run.ts';
import { readKubeconfig } from '../../src/kube/access/kubeconfig.ts';
import { ApiClient } from '../../src/kube/api/client.ts';
import { wire } from '../../src/netlink/wire.ts';
import { systemClock } from '../../src/util/clock.ts';
import type { ApiObject } from '../support/fake-api-objects.ts';
import { FakeApiServer } from '../support/fake-api-server.ts';
import { LabAgent } from '../support/flows/agent.ts';
import { IPV4, IPV6 } from '../support/flows/net.ts';
import { recordPod } from '../support/pod-records.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { until } from '../support/until.ts';

const CLI = new URL('../../src/cli/weft.ts', import.meta.url).pathname;
const NETS = [IPV4, IPV6];
const VIPS = NETS.map((net) => net.vip(70));
const DNS_VIPS = NETS.map((net) => net.vip(71));
const NODE_PORT = 30_777;

let lab: ProxyLab;
let agent: LabAgent;
let directory: string;
let api: FakeApiServer;

beforeAll(async () => {
  lab = await createProxyLab();
  agent = new LabAgent(lab);
  directory = mkdtempSync(join(tmpdir(), 'weft-connectivity-'));
  const ports = [{ name: 'dns', protocol: 'UDP', port: 53 }];
  writeService('kube-dns', DNS_VIPS, ports, ['podA']);
  for (const [name, netns, at, link] of [
    ['client', lab.client, 'client', 'pod0'],
    ['a', lab.podA, 'podA', 'pod1'],
    ['b', lab.podB, 'podB', 'pod2'],
  ] as const) {
    const addresses = [`${IPV4[at]}/24`, `${IPV6[at]}/64`];
    recordPod(agent.runDir, { name, netns, addresses, bridge: 'br0', hostLink: link });
  }
  // The host port of a pod, as the member portmap would have it.
  const rules = ['ip', 'ip6'].map((family, at) => {
    const to = at === 0 ? `${IPV4.podB}:8080` : `[${IPV6.podB}]:8080`;
    const chain = `${family} hostports p { type nat hook prerouting priority -90; }`;
    return `add table ${family} hostports; add chain ${chain}; add rule ${family} hostports p tcp dport ${HOST_PORT} dnat to ${to}`;
  });
  lab.node.run('nft', rules.join('; '));
  await agent.start();
});

afterAll(async () => {
  await agent.remove();
  await lab.remove();
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  api = new FakeApiServer({ authorization: 'Bearer t' });
  await api.start();
  for (const [name, ips] of [
    ['node-a', [IPV4.node, IPV6.node]],
    ['node-b', ['192.168.0.2']],
  ] as const) {
    const addresses = ips.map((address) => ({ type: 'InternalIP', address }));
    const conditions = [{ type: 'Ready', status: 'True' }];
    api.put('nodes', { metadata: { name }, status: { addresses, conditions } });
  }
  const metadata = { name: 'kube-dns', namespace: 'kube-system' };
  api.put('services', { metadata, spec: { clusterIPs: DNS_VIPS } });
});

afterEach(() => api.stop());

type Place = 'podA' | 'podB' | 'remote';

/** Written for the agent, which reads manifests. */
function writeService(
  name: string,
  vips: readonly string[],
  ports: readonly object[],
  places: readonly Place[],
): void {
  NETS.forEach((net, at) => {
    const metadata = { name: `${name}`, namespace: `ns${net.family}` };
    const family = `IPv${net.family}`;
    agent.writeObject(`${name}-${net.family}`, {
      ...{ apiVersion: 'v1', kind: 'Service', metadata },
      spec: {
        type: 'NodePort',
        clusterIP: vips[at],
        clusterIPs: [vips[at]],
        ipFamilies: [family],
        ports,
      },
    });
    const endpoints = places.map((place) => ({
      addresses: [net[place]],
      conditions: { ready: true },
      nodeName: place === 'remote' ? 'node-b' : 'node-a',
    }));
    agent.writeObject(`${name}-slice-${net.family}`, {
      ...{
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        addressType: family,
        endpoints,
      },
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': name } },
      ports: ports.map((port) => ({ ...port, port: 8080 })),
    });
  });
}

const PLACES: Readonly<Record<string, 'client' | Place>> = {
  ...{ client: 'client', here: 'podA', guarded: 'podB', published: 'podB', 'away-1': 'remote' },
};

/** Kubelet and controllers: whatever was created becomes a namespace of the lab. */
function runCluster(isIdle = false) {
  const timer = setInterval(() => {
    for (const { path, object } of api.created.splice(0)) {
      if (path.endsWith('/pods') && !isIdle) startPod(object);
      if (path.endsWith('/services')) startService(object);
    }
  }, 20);
  return () => clearInterval(timer);
}

function startPod(object: ApiObject): void {
  const place = PLACES[object.metadata.name];
  if (place === undefined) throw new Error(`no pod ${object.metadata.name} in this lab`);
  const podIPs = NETS.map((net) => ({ ip: net[place] }));
  const conditions = [{ type: 'Ready', status: 'True' }];
  api.put('pods', { ...object, status: { podIPs, conditions } });
}

function startService(object: ApiObject): void {
  const ports = [{ name: 'http', protocol: 'TCP', port: 80, nodePort: NODE_PORT }];
  api.put('services', { ...object, spec: { clusterIPs: VIPS, ports } });
  writeService('web', VIPS, ports, ['podA', 'remote']);
}

interface Ran {
  readonly code: number;
  readonly text: string;
}

async function run(
  flags: Readonly<Record<string, unknown>>,
  change: Partial<ConnectivityEffects> = {},
): Promise<Ran> {
  let text = '';
  const effects: ConnectivityEffects = {
    ...{ runDir: agent.runDir, askAgent, clock: systemClock },
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    print: (part) => {
      text += part;
    },
    openApi: async (path) => {
      const access = await readKubeconfig(path, { clock: systemClock, environment: {} });
      return new ApiClient({ access, version: 'test', clock: systemClock, random: Math.random });
    },
    lockConnectivityTest: async (path) => {
      const lock = lockConnectivityTest(path, process.pid, wire.flock);
      return () => lock.release();
    },
    onInterrupt: () => () => {},
    ...change,
  };
  return { code: await runConnectivityTest(flags, effects), text };
}

const own = () => ({ kubeconfig: api.kubeconfig(join(directory, 'kubeconfig')), nodes: '1' });
const namespaces = () => api.objects.list('namespaces').map(({ metadata }) => metadata.name);

test('through the API: all is well, and nothing is left', async () => {
  const stop = runCluster();
  try {
    const outside = `${IPV4.outside}:1,[${IPV6.remote}]:8080`;
    const { code, text } = await run({ ...own(), outside: outside.replace(/^[^,]*,/, '') });
    expect([code, text]).toEqual([0, expect.stringMatching(/All \d+ are as they should be/)]);
    for (const title of [
      'pod to pod, this node',
      'full-size packet, node node-b',
      'pod to Service',
      'pod to NodePort',
      'pod to host port',
      'DNS',
    ]) {
      expect(text).toContain(`ok      ${title}, IPv4: `);
    }
    expect(text).toContain('ok      full-size packet, node node-b, IPv6');
    expect(text).toContain('ok      pod to the outside, IPv6');
    expect(text).toContain('not tried policies, IPv4: this agent enforces none');
    expect(namespaces()).toEqual([]);
    expect(api.deleted).toHaveLength(1);
  } finally {
    stop();
  }
});

test('what fails is named with the cause, and what an earlier run left goes', async () => {
  const others = ['weft-connectivity-0d1e2f', 'shop'];
  const hours = (ago: number) => new Date(Date.now() - ago * 3_600_000).toISOString();
  for (const [name, runBy, ago] of [
    ['weft-connectivity-0a1b2c', 'node-a', 0.01],
    ['weft-connectivity-0b1c2d', 'node-b', 3],
    ['weft-connectivity-0d1e2f', 'node-b', 0.01],
    ['shop', 'node-a', 3],
  ] as const) {
    const labels = { 'weft.dev/connectivity-test': '' };
    const annotations = { 'weft.dev/connectivity-run-by': runBy };
    api.put('namespaces', {
      metadata: { name, labels, annotations, creationTimestamp: hours(ago) },
    });
  }
  const stop = runCluster();
  lab.node.run('ip', 'link', 'set', 'eth0', 'mtu', '1400');
  lab.node.run(
    'nft',
    `add table ip foreign; add chain ip foreign f { type filter hook forward priority 0; }; add rule ip foreign f ip daddr ${IPV4.podA} tcp dport 8080 drop comment "closed"`,
  );
  try {
    const { code, text } = await run(own());
    expect(code).toBe(1);
    expect(text).toMatch(
      /FAILED {2}pod to pod, this node, IPv4: .*\n(.*\n)* +Dropped: a rule of table ip foreign, chain f, drops it: handle \d+\n +\("closed"\)/,
    );
    expect(text).toMatch(
      /FAILED {2}full-size packet, node node-b, IPv4: .*\n(.*\n)*.*only smaller packets/,
    );
    expect(text).toContain('ok      pod to pod, node node-b, IPv4');
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(namespaces()).toEqual(expect.arrayContaining(others));
    expect(namespaces()).toHaveLength(others.length);
  } finally {
    stop();
    lab.node.run('nft', 'delete', 'table', 'ip', 'foreign');
    lab.node.run('ip', 'link', 'set', 'eth0', 'mtu', '1500');
  }
});

test('who is interrupted leaves nothing', async () => {
  const stop = runCluster(true);
  let interrupt = () => {};
  try {
    const ended = run(own(), {
      onInterrupt: (listener) => {
        interrupt = listener;
        return () => {};
      },
    });
    const failed = expect(ended).rejects.toThrow('interrupted');
    await until('the namespace is there', () => namespaces().length > 0);
    interrupt();
    await failed;
    expect(namespaces()).toEqual([]);
  } finally {
    stop();
  }
});

test('the command itself is interrupted, and leaves nothing', async () => {
  const stop = runCluster(true);
  const child = spawn(
    process.execPath,
    [CLI, 'connectivity-test', '--kubeconfig', own().kubeconfig, '--run-dir', agent.runDir],
    { stdio: 'ignore' },
  );
  try {
    const ended = once(child, 'exit');
    await until('the namespace is there', () => namespaces().length > 0);
    child.kill('SIGINT');
    expect(await ended).toEqual([2, null]);
    expect(namespaces()).toEqual([]);
  } finally {
    child.kill('SIGKILL');
    stop();
  }
});

test('the command itself is killed: another run waits for nobody, and removes what it left', async () => {
  const stopIdle = runCluster(true);
  const child = spawn(
    process.execPath,
    [CLI, 'connectivity-test', '--kubeconfig', own().kubeconfig, '--run-dir', agent.runDir],
    { stdio: 'ignore' },
  );
  await until('the namespace is there', () => namespaces().length > 0);
  await expect(run(own())).rejects.toThrow(
    `weft connectivity-test runs on this node already, with pid ${child.pid}: wait for its end`,
  );
  const left = namespaces();
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  stopIdle();
  const stop = runCluster();
  try {
    const { text } = await run(own());
    expect(text).toContain(`removed namespace ${left[0]}`);
    expect(text).toMatch(/All \d+ are as they should be/);
    expect(namespaces()).toEqual([]);
  } finally {
    stop();
  }
});

interface Broken {
  readonly title: string;
  readonly breakIt: readonly string[];
  readonly mend: readonly string[];
  /** What is said of it, white space made one. */
  readonly says: RegExp;
}

/** A rule of somebody else that drops. */
function dropping(
  family: 'ip' | 'ip6',
  match: string,
  hook = 'forward priority 0',
): Pick<Broken, 'breakIt' | 'mend'> {
  const chain = `${family} foreign f { type filter hook ${hook}; }`;
  const rule = `add rule ${family} foreign f ${match} drop`;
  return {
    breakIt: [`nft 'add table ${family} foreign; add chain ${chain}; ${rule}'`],
    mend: [`nft delete table ${family} foreign`],
  };
}

const RULE = /rule of table ip6? foreign, chain f, drops it/;
const REMOTE_ROUTE = '10.2.0.0/24 via 192.168.0.2';

const BROKEN: readonly Broken[] = [
  { title: 'pod to pod, node node-b, IPv4', ...dropping('ip', 'ip daddr 10.2.0.2'), says: RULE },
  {
    title: 'pod to pod, node node-b, IPv4',
    breakIt: [`ip route replace unreachable 10.2.0.0/24`],
    mend: [`ip route replace ${REMOTE_ROUTE}`],
    says: /10\.2\.0\.2/,
  },
  {
    title: 'pod to Service, IPv4',
    ...dropping('ip', 'ct original ip daddr 172.30.0.70'),
    says: RULE,
  },
  {
    title: 'pod to NodePort, IPv6',
    ...dropping('ip6', `tcp dport ${NODE_PORT}`, 'prerouting priority -150'),
    says: RULE,
  },
  {
    title: 'pod to host port, IPv4',
    breakIt: ['nft flush chain ip hostports p'],
    mend: [`nft add rule ip hostports p tcp dport ${HOST_PORT} dnat to ${IPV4.podB}:8080`],
    says: new RegExp(`${IPV4.node}:${HOST_PORT} answers RST: nothing listens there`),
  },
  { title: 'DNS, IPv4', ...dropping('ip', 'udp dport 8080'), says: RULE },
  {
    title: 'pod to the outside, IPv6',
    ...dropping('ip6', `ip6 daddr ${IPV6.remote} tcp dport 8080`),
    says: RULE,
  },
];

test.each(BROKEN)('$title: $breakIt.0', async ({ title, breakIt, mend, says }) => {
  const stop = runCluster();
  lab.node.run('sh', '-ec', breakIt.join('\n'));
  try {
    const { code, text } = await run({ ...own(), outside: `[${IPV6.remote}]:8080` });
    const [, said = ''] = text.replaceAll(/\s+/g, ' ').split(` FAILED ${title}: `);
    expect([code, said.split(/ (?:ok|FAILED|not tried) /)[0]]).toEqual([
      1,
      expect.stringMatching(says),
    ]);
  } finally {
    stop();
    lab.node.run('sh', '-ec', mend.join('\n'));
  }
});

test('pods that do not start are named, and removed', async () => {
  const stop = runCluster(true);
  try {
    await expect(run({ ...own(), timeout: '100ms' })).rejects.toThrow(
      /pods are not ready: client on node-a/,
    );
    expect(namespaces()).toEqual([]);
  } finally {
    stop();
  }
});

test('from records, read only', async () => {
  writeService(
    'web',
    VIPS,
    [{ name: 'http', protocol: 'TCP', port: 80, nodePort: NODE_PORT }],
    ['podA', 'remote'],
  );
  await until('the Service is known', async () =>
    /web/.test(JSON.stringify(await askAgent(agent.runDir, { command: 'services' }))),
  );
  const { code, text } = await run({});
  expect([code, text]).toEqual([
    0,
    expect.stringContaining('ok      pod to Service ns4/web, IPv4'),
  ]);
  expect(text).toContain('ok      full-size packet, this node, IPv6');
  expect(text).toContain('ok      DNS, IPv4');
  expect(api.requests).toEqual([]);
});
