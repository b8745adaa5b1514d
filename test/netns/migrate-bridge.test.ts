/** docs/migrate.md, "From bridge and host-local": its own commands, on a node whose pods are being pinged. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { pageCommands } from '../support/page-commands.ts';

const ROOT = join(import.meta.dirname, '../..');
const PLUGINS = '/usr/lib/cni';
const CONFIG = {
  ...{ cniVersion: '1.0.0', name: 'old', type: 'bridge', bridge: 'cni0', isGateway: true },
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.77.0.0/24' }]] },
};

let directory: string;
let host: TestNetns;
/** Has the node's files: /opt and /etc of its own, so that the commands can be those of a person. */
let files: ChildProcess;
/** Made before the files, which see no mount of later. */
let pods: readonly TestNetns[] = [];

function onNode(command: string, input = '', env: Record<string, string> = {}): string {
  const enter = [`--net=${host.path}`, `--mount=/proc/${files.pid}/ns/mnt`, `--wdns=${directory}`];
  const { status, stdout, stderr } = spawnSync('nsenter', [...enter, 'sh', '-c', command], {
    ...{ input, encoding: 'utf8', timeout: 60_000 },
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  if (status !== 0) throw new Error(`${command}: ${stdout}${stderr}`);
  return stdout;
}

/** As a runtime does. */
function cni(verb: string, pod: TestNetns): string {
  return onNode('exec /opt/cni/bin/bridge', JSON.stringify(CONFIG), {
    ...{ CNI_COMMAND: verb, CNI_CONTAINERID: pod.name, CNI_NETNS: pod.path },
    ...{ CNI_IFNAME: 'eth0', CNI_PATH: '/opt/cni/bin' },
  });
}

const addressOf = (answer: string): string => JSON.parse(answer).ips[0].address.replace(/\/.*/, '');

/** What release.sh puts together, from the tree that `make dist/root` has made. */
function unpackRelease(): void {
  const release = join(directory, 'weft-0.1.0');
  mkdirSync(join(release, 'tree'), { recursive: true });
  execFileSync('cp', ['-a', join(ROOT, 'dist/root/opt'), join(release, 'tree')]);
  rmSync(join(release, 'tree/opt/cni/bin/loopback'), { force: true });
  for (const name of ['install.sh', 'uninstall.sh', 'weft.service']) {
    execFileSync('cp', [join(ROOT, 'scripts/release', name), release]);
  }
  writeFileSync(join(release, 'weft.yaml'), '{}\n');
  execFileSync('sh', ['-c', `dpkg --print-architecture >${join(release, 'ARCHITECTURE')}`]);
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weft-migrate-'));
  host = createNetns('migrate');
  pods = [createNetns('old'), createNetns('new')];
  files = spawn('unshare', ['--mount', 'sh', '-c', 'echo ready; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => files.stdout?.once('data', resolve));
  onNode('mount -t tmpfs tmpfs /opt; mount -t tmpfs tmpfs /var/lib/cni || true');
  const layers = 'lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work';
  onNode(
    `mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work && mount -t overlay overlay -o ${layers} /etc`,
  );
  onNode(`mkdir -p /opt/cni/bin /etc/cni/net.d && cp ${PLUGINS}/* /opt/cni/bin`);
  const list = { cniVersion: '1.0.0', name: 'old', plugins: [CONFIG] };
  onNode('cat >/etc/cni/net.d/10-old.conflist', JSON.stringify(list));
  unpackRelease();
}, 60_000);

afterAll(() => {
  for (const pod of pods) pod.remove();
  files?.kill('SIGKILL');
  host?.remove();
  rmSync(directory, { recursive: true, force: true });
});

test('the commands of the page take over under running pods, and the undo gives back', async () => {
  const commands = pageCommands('docs/migrate.md', 'From bridge and host-local');
  expect(commands.map((line) => line.split(' ')[0])).toEqual([
    'weft-0.1.0/install.sh',
    '/opt/weft/bin/weft',
    '/opt/weft/bin/weft',
  ]);
  const [one, two] = pods;
  if (one === undefined || two === undefined) throw new Error('no pods');
  const address = addressOf(cni('ADD', one));
  const pings = host.start('ping', ['-q', '-i', '0.01', address]);
  let told = '';
  pings.stdout?.on('data', (text) => {
    told += text;
  });

  for (const command of commands) onNode(command);
  expect(onNode('readlink /opt/cni/bin/bridge')).toContain('weft');
  const second = addressOf(cni('ADD', two));
  expect(second).not.toBe(address);
  expect(host.attempt('ping', ['-c', '1', '-W', '2', second]).status).toBe(0);

  onNode('/opt/weft/bin/weft install --drop-in --undo');
  onNode('test ! -L /opt/cni/bin/bridge');
  pings.kill('SIGINT');
  await new Promise((resolve) => pings.once('close', resolve));
  expect(told).toMatch(/ 0% packet loss/);
  expect(Number(/^(\d+) packets/m.exec(told)?.[1])).toBeGreaterThan(50);

  // Each is removed by the other one's program, and nothing stays. The rules of masquerading come with cleanup.
  onNode('/opt/weft/bin/weft cleanup --component cni');
  cni('DEL', two);
  for (const command of commands.slice(1)) onNode(command);
  cni('DEL', one);
  expect(onNode('ls /var/lib/cni/networks/old | grep -c "^10\\." || true').trim()).toBe('0');
  expect(host.run('ip', '-o', 'link', 'show', 'type', 'veth')).toBe('');
}, 120_000);
