/** One thing after the other is broken on a node, and `weft doctor` says what and what cures it. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Finding, isBad } from '../../src/agent/status/finding.ts';
import { runCure } from '../support/cure.ts';
import { ADDRESSES, DoctorLab } from '../support/doctor-lab.ts';
import { until } from '../support/until.ts';

let lab: DoctorLab;

beforeAll(async () => {
  lab = new DoctorLab();
  await lab.start();
}, 60_000);

afterAll(() => lab.remove());

test('without pods forwarding is only missed', async () => {
  lab.node.run('sysctl', '-qw', 'net.ipv4.ip_forward=0');
  expect(await lab.finding('ip-forward', 'warning')).toMatchObject({
    seen: 'net.ipv4.ip_forward is 0',
    cure: 'sysctl -w net.ipv4.ip_forward=1; keep it in /etc/sysctl.d',
  });
  runCure(lab.node, 'sysctl -w net.ipv4.ip_forward=1');
  await lab.finding('ip-forward', 'ok');
});

test('nothing is wrong with a healthy node, and to look at it takes little', async () => {
  lab.addPods();
  const { findings, tookMs } = await lab.doctor();
  expect(findings.filter(isBad)).toEqual([]);
  expect(findings.filter(({ level }) => level === 'unknown')).toEqual([]);
  expect(tookMs).toBeLessThan(2_000);
  const { stdout } = lab.weft('status');
  expect(stdout).toMatch(/: healthy\n/);
  expect(stdout).toMatch(/^checks {2}\d+ ok; looked \d+ s ago$/m);
});

test('what turns bad is told by status, the metric and one Event', async () => {
  lab.node.run('sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0');
  const found = await lab.finding('bridge-nf-call', 'failing');
  expect(found).toMatchObject({
    concernsTraffic: true,
    seen: 'net.bridge.bridge-nf-call-iptables is 0, and pods share bridge cni0',
    cure: 'sysctl -w net.bridge.bridge-nf-call-iptables=1',
  });
  const { status, stdout } = lab.weft('status');
  expect(status).toBe(1);
  expect(stdout).toMatch(/: not healthy\n/);
  expect(stdout).toContain('cure: sysctl -w net.bridge.bridge-nf-call-iptables=1');
  expect(lab.weft('doctor').status).toBe(1);
  expect(lab.metrics()).toMatch(/^weft_check_ok\{check="bridge-nf-call"\} 0$/m);
  await expect.poll(() => lab.events()).toContain('"reason":"NodeCheck"');
  expect((await lab.events()).split('bridge-nf-call:')).toHaveLength(2);
  runCure(lab.node, found.cure ?? '');
  await lab.finding('bridge-nf-call', 'ok');
  expect(lab.metrics()).toMatch(/^weft_check_ok\{check="bridge-nf-call"\} 1$/m);
});

/** What is broken, how it is mended (absent: by the command of the cure), and what is said meanwhile. */
interface Breakage {
  readonly check: string;
  readonly level: Finding['level'];
  readonly break: readonly string[];
  readonly mend?: readonly string[];
  readonly seen: RegExp;
  readonly cure: RegExp;
}

const BREAKAGES: readonly Breakage[] = [
  {
    check: 'pod-mtu',
    level: 'warning',
    break: ['ip link set eth0 mtu 1400'],
    seen: /^pods have an MTU of 1500, the uplink eth0 one of 1400$/,
    cure: /^ip link set eth0 mtu 1500 .* "mtu": 1400 in the network configuration/,
  },
  {
    check: 'pod-routes',
    level: 'failing',
    break: ['ip route add 10.244.0.2/32 dev eth1'],
    mend: ['ip route del 10.244.0.2/32'],
    seen: /^the route by eth1 takes 10\.244\.0\.2 of pod default\/pod-1, which is on bridge cni0$/,
    cure: /^ip route get 10\.244\.0\.2 /,
  },
  {
    check: 'peer-routes',
    level: 'failing',
    break: ['ip route del 10.244.1.0/24', 'ip route del default'],
    mend: [
      `ip route add 10.244.1.0/24 via ${ADDRESSES.peer}`,
      `ip route add default via ${ADDRESSES.peer}`,
    ],
    seen: /^no route to 10\.244\.1\.3 \(node node-b\)$/,
    cure: /^ip route add the podCIDR of that node via its address/,
  },
  {
    check: 'foreign-drops',
    level: 'failing',
    break: ['iptables-nft -P FORWARD DROP'],
    seen: /^table ip filter, chain FORWARD: the policy drop drops all packets that pod default\/pod-1 sends$/,
    cure: /^iptables -P FORWARD ACCEPT$/,
  },
  {
    check: 'foreign-drops',
    level: 'warning',
    break: ['iptables-nft -A FORWARD -s 10.244.0.2 -p tcp --sport 8080 -j DROP'],
    mend: ['iptables-nft -F FORWARD'],
    seen: /^table ip filter, chain FORWARD: the rule with handle \d+ drops some packets that pod default\/pod-1 sends$/,
    cure: /^delete it/,
  },
];

test.each(BREAKAGES)('$check: $break.0', async ({ check, level, seen, cure, ...commands }) => {
  lab.node.run('sh', '-ec', commands.break.join('\n'));
  const found = await lab.finding(check, level);
  if (commands.mend === undefined) runCure(lab.node, found.cure ?? '');
  else lab.node.run('sh', '-ec', commands.mend.join('\n'));
  expect(found).toMatchObject({
    seen: expect.stringMatching(seen),
    cure: expect.stringMatching(cure),
  });
  await lab.finding(check, 'ok');
});

/** What a person types, and reads with white space made one. */
function explain(to: string, ...flags: readonly string[]) {
  const { status, stdout, stderr } = lab.weft(
    'explain',
    ...['--from', 'default/pod-1', '--to', to, ...flags],
  );
  return { status, said: `${stdout}${stderr}`.replaceAll(/\s+/g, ' ') };
}

const SENT = ['--live', '--send'] as const;

test('a selector that is mistyped', async () => {
  lab.putService('typo', '172.30.0.20', { selector: { app: 'typo' } }, []);
  await until('it is known', () => explain('ns/typo:80').status === 3);
  const { said } = explain('ns/typo:80', ...SENT);
  expect(said).toContain('selector app=typo of Service ns/typo matches no pod');
  expect(said).toContain('Cure: kubectl -n ns get pods --show-labels');
  expect(said).toContain('That is what the model says.');
});

test('nobody listens at the endpoint', async () => {
  lab.putService('dead', '172.30.0.21', {}, ['10.244.0.3']);
  await until('it is known', () => explain('ns/dead:80').status === 0);
  const { status, said } = explain('ns/dead:80', ...SENT);
  expect([status, said]).toEqual([
    3,
    expect.stringContaining('10.244.0.3:8080 answers RST: nothing listens there'),
  ]);
  expect(said).toContain('Cure: have the program in the pod listen at port 8080');
  const script = "require('net').createServer().listen(8080)";
  const program = lab.pods[1]?.start(process.execPath, ['-e', script]);
  await until('somebody listens', () => explain('ns/dead:80', ...SENT).status === 0);
  program?.kill('SIGKILL');
});

test('the table of the proxy is deleted: it is back, and who did it is named', async () => {
  lab.node.run('nft', 'delete', 'table', 'ip', 'weft-proxy');
  await until('it is back', () => lab.node.run('nft', 'list', 'tables').includes('ip weft-proxy'));
  await until('it is told', () => /"nft"/.test(lab.log));
  expect(explain('ns/typo:80', ...SENT).status).toBe(3);
});

test('the default route of a pod is gone', async () => {
  const [pod] = lab.pods;
  pod?.run('ip', 'route', 'del', 'default');
  const { status, said } = explain('ns/dead:80', ...SENT);
  expect([status, said]).toEqual([
    4,
    expect.stringContaining('pod default/pod-1 has no route to 172.30.0.21 (ENETUNREACH)'),
  ]);
  expect(said).toContain('Cure: start the pod anew');
  pod?.run('ip', 'route', 'add', 'default', 'via', '10.244.0.1');
  expect(explain('ns/dead:80').status).toBe(0);
});

test('a strict rp_filter that drops what comes by the other link', async () => {
  const { node, client } = lab;
  // Nobody answers for an address to whom no route leads back.
  client.run('ping', '-c1', '-W5', '198.51.100.1');
  client.run('ip', 'addr', 'add', '203.0.113.9/32', 'dev', 'eth0');
  node.run('sysctl', '-qw', 'net.ipv4.conf.eth1.rp_filter=1');
  await lab.finding('rp-filter', 'ok');
  const found = await untilDropped(() => {
    client.attempt('ping', ['-c4', '-i0.05', '-W1', '-I', '203.0.113.9', '198.51.100.1']);
  });
  expect(found).toMatchObject({
    seen: expect.stringMatching(
      /^rp_filter is 1 on eth1, and has dropped \d+ packets since the last look: the route back to their senders is another link, and the default route is by eth0$/,
    ),
    cure: 'sysctl -w net.ipv4.conf.eth1.rp_filter=2',
  });
  runCure(node, found.cure ?? '');
  await lab.finding('rp-filter', 'ok');
});

/** What is dropped is told by the first look after it. */
async function untilDropped(send: () => void): Promise<Finding> {
  for (let attempt = 0; attempt < 5; attempt++) {
    send();
    const { findings } = await lab.doctor();
    const found = findings.find(({ check }) => check === 'rp-filter');
    if (found?.level === 'failing') return found;
  }
  throw new Error('nothing was told');
}

test('a program that has a NodePort', async () => {
  const script = `require('net').createServer().listen(30080, '${ADDRESSES.node}')`;
  const program = lab.node.start(process.execPath, ['-e', script]);
  expect(await lab.finding('node-ports', 'warning')).toMatchObject({
    seen: expect.stringMatching(
      /^\S+, pid \d+ listens at 192\.0\.2\.1:30080\/tcp, the NodePort of Service ns\/web$/,
    ),
    cure: 'have the program listen at another port, or give the Service another nodePort',
  });
  program.kill('SIGKILL');
  await lab.finding('node-ports', 'ok');
});

test('the disk of the last known objects is full', async () => {
  const filler = join(lab.stateDir, 'filler');
  writeFileSync(filler, Buffer.alloc(lab.stateBytes - 512 * 1024));
  expect(await lab.finding('disk', 'warning')).toMatchObject({
    seen: `the disk of ${lab.stateDir} is full: last known objects cannot be written`,
    cure: expect.stringMatching(/^df /),
  });
  rmSync(filler);
  await lab.finding('disk', 'ok');
});

test('without an agent the node itself is looked at, and the answer says so', () => {
  const { stdout, status } = lab.peer.attempt(process.execPath, [
    ...lab.doctorWithoutAgent('--all'),
  ]);
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain('Only the node itself is looked at');
  expect(stdout).toMatch(/^ok +inotify: /m);
  expect(status).toBe(0);
});

test('no inotify instance is left', () => {
  // Limits of a user namespace are its own.
  const words = lab.doctorWithoutAgent('--output', 'json');
  const script = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"';
  const command = ['--user', '--map-root-user', 'sh', '-c', script, 'sh', process.execPath];
  const { stdout } = lab.peer.attempt('unshare', [...command, ...words]);
  const findings: readonly Finding[] = JSON.parse(stdout).findings;
  expect(findings.find(({ check }) => check === 'inotify')).toMatchObject({
    level: 'failing',
    seen: expect.stringMatching(
      /^no inotify instance is left: fs\.inotify\.max_user_instances is \d+/,
    ),
    cure: expect.stringMatching(/^sysctl -w fs\.inotify\.max_user_instances=\d+$/),
  });
});

test('a network of pods that excludes them, an expired certificate, and another clock', async () => {
  const since = lab.useExpiredCertificate();
  lab.api({ skewMs: 120_000 });
  await lab.restartAgent({ proxy: { clusterCIDR: '10.0.0.0/16' } });
  expect(await lab.finding('cluster-cidr', 'failing')).toMatchObject({
    seen: expect.stringMatching(
      /^clusterCIDR 10\.0\.0\.0\/16 excludes the podCIDR 10\.244\.0\.0\/24 of this node and 10\.244\.0\.\d of pod default\/pod-\d$/,
    ),
    cure: expect.stringContaining('set proxy.clusterCIDR'),
  });
  expect(await lab.finding('api-certificate', 'failing')).toMatchObject({
    seen: expect.stringContaining(`client.crt has expired on ${since}`),
  });
  expect(await lab.finding('clock-skew', 'warning')).toMatchObject({
    seen: expect.stringMatching(/^this node's clock is 1[12]\d s behind that of the API server$/),
  });
}, 60_000);

test('the API server forbids, the table of connections is full, and the API server is gone', async () => {
  // What fails for a moment only is not told.
  lab.api({ forbid: ['services'] });
  lab.fillConntrack();
  expect(await lab.finding('conntrack-table', 'failing')).toMatchObject({
    seen: expect.stringMatching(
      /^\d+ of \d+ connections are tracked, \d+ %.*; \d+ % from 198\.51\.100\.1$/,
    ),
    cure: expect.stringMatching(/^raise proxy\.conntrack\.min \(sysctl -w net\.netfilter\./),
  });
  lab.node.run('conntrack', '-F');
  await lab.finding('conntrack-table', 'ok');
  expect(await lab.finding('api-access', 'failing')).toMatchObject({
    seen: expect.stringMatching(/: we may not (list|watch) services \(403\)$/),
    cure: expect.stringContaining(
      '- {apiGroups: [""], resources: [services], verbs: [list, watch]}',
    ),
  });
  lab.api({ stop: true });
  expect(await lab.finding('api-server', 'failing')).toMatchObject({
    seen: expect.stringMatching(
      /^API server 127\.0\.0\.1:\d+: connection refused for \d+ s, serving what was known$/,
    ),
  });
  expect(lab.log).not.toMatch(/ {4}at /);
}, 60_000);
