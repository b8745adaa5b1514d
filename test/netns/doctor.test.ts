/** One thing after the other is broken on a node, and `weft doctor` says what and what cures it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isBad } from '../../src/agent/checks/finding.ts';
import { DoctorLab } from '../support/doctor-lab.ts';

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
  lab.node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  await lab.finding('ip-forward', 'ok');
});

test('nothing is wrong with a healthy node, and to look at it takes little', () => {
  lab.addPods();
  const { status, findings, tookMs, isAsked } = lab.doctor();
  expect(findings.filter(isBad)).toEqual([]);
  expect({ status, isAsked }).toEqual({ status: 0, isAsked: true });
  expect(tookMs).toBeLessThan(2_000);
  const { stdout } = lab.weft('status');
  expect(stdout).toMatch(/: healthy\n/);
  expect(stdout).toMatch(/^checks {2}\d+ ok; looked \d+ s ago$/m);
});

test('what turns bad is told by status, the metric and one Event', async () => {
  lab.node.run('sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0');
  expect(await lab.finding('bridge-nf-call', 'failing')).toMatchObject({
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
  lab.node.run('sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1');
  await lab.finding('bridge-nf-call', 'ok');
  expect(lab.weft('status').stdout).toMatch(/: healthy\n/);
  expect(lab.metrics()).toMatch(/^weft_check_ok\{check="bridge-nf-call"\} 1$/m);
});

test('without an agent the node itself is looked at, and the answer says so', () => {
  const { stdout, status } = lab.peer.attempt(process.execPath, lab.doctorWithoutAgent('--all'));
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
  const found = JSON.parse(stdout).findings.find(
    (each: { check: string }) => each.check === 'inotify',
  );
  expect(found).toMatchObject({
    level: 'failing',
    seen: expect.stringMatching(
      /^no inotify instance is left: fs\.inotify\.max_user_instances is \d+/,
    ),
    cure: expect.stringMatching(/^sysctl -w fs\.inotify\.max_user_instances=\d+$/),
  });
});
