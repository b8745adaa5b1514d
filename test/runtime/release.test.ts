import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveAgentConfig } from '../../src/agent/config/agent-config.ts';
import { WEFT_VERSION } from '../../src/agent/version.ts';

const DIST = join(import.meta.dirname, '../../dist');
const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const RELEASE = join(DIST, `weft-${WEFT_VERSION}-linux-${ARCHITECTURE}.tar.gz`);
const UNPACKED = `/root/weft-${WEFT_VERSION}`;

/** A node with a shell and the C library, and no more: what installing needs it must have. */
let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'weft-release-'));
  cpSync(join(DIST, `image/${ARCHITECTURE}/base`), root, {
    recursive: true,
    verbatimSymlinks: true,
  });
  for (const directory of ['root', 'proc', 'run', 'dev', 'tmp', 'opt', 'etc', 'var']) {
    mkdirSync(join(root, directory), { recursive: true });
  }
  for (const applet of ['dirname', 'find', 'uname', 'mkdir', 'cp']) {
    if (existsSync(join(root, 'bin', applet))) continue;
    execFileSync('ln', ['-s', 'busybox', join(root, 'bin', applet)]);
  }
  execFileSync('tar', ['-xzf', RELEASE, '-C', join(root, 'root')]);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs a command with that root, in namespaces of its own. */
function run(...command: string[]): string {
  const inside = `mount -t proc proc "$0/proc" && exec chroot "$0" "$@"`;
  const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child'];
  return execFileSync('unshare', [...namespaces, 'sh', '-c', inside, root, ...command], {
    encoding: 'utf8',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    timeout: 60_000,
  });
}

function files(): readonly string[] {
  const listed = execFileSync('find', ['opt', 'etc', 'run', 'var', '-type', 'f'], { cwd: root });
  return listed.toString().trim().split('\n').sort();
}

test('installs on a node that has only a shell, again over itself, and goes', () => {
  const before = files();
  expect(run(`${UNPACKED}/install.sh`)).toContain(`weft ${WEFT_VERSION} (node v`);
  expect(run('/opt/weft/bin/weft', 'version')).toContain(WEFT_VERSION);
  const installed = files();
  expect(installed).toEqual(
    expect.arrayContaining([
      'opt/cni/bin/weft',
      'opt/cni/bin/loopback',
      'etc/weft/weft.yaml',
      'etc/systemd/system/weft.service',
    ]),
  );
  run(`${UNPACKED}/install.sh`);
  expect(files()).toEqual(installed);

  expect(run('/opt/weft/bin/weft-uninstall')).toContain('uninstall: done');
  expect(files()).toEqual([...before, 'etc/weft/weft.yaml'].sort());
});

test('its configuration is one that the agent takes', () => {
  const path = join(root, UNPACKED, 'weft.yaml');
  const file = { path, text: readFileSync(path, 'utf8') };
  const { components, source } = resolveAgentConfig({}, [file], { hostname: 'a', environment: {} });
  expect([...components]).toEqual(['cni', 'proxy', 'fabric', 'policy']);
  expect(source).toMatchObject({ kind: 'apiServer', kubeconfig: '/etc/weft/kubeconfig' });
});

test('systemd finds nothing wrong with the unit', () => {
  run(`${UNPACKED}/install.sh`);
  const text = readFileSync(join(root, 'etc/systemd/system/weft.service'), 'utf8');
  const unit = join(root, 'tmp/weft.service');
  // The program is looked for on this machine.
  writeFileSync(unit, text.replace('=/opt/weft', `=${root}/opt/weft`));
  expect(execFileSync('systemd-analyze', ['verify', '--man=no', unit]).toString()).toBe('');
});
