/** A user who is root only in namespaces of their own, on a machine whose /run/weft is root's. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { INSTALL_ROOT } from '../support/cluster.ts';

const USER = 12345;
const TIMEOUT_MS = 60_000;

/**
 * As root, in a mount namespace that ends with the script: an own /run and /dev/shm, and weft where
 * any user may read it.
 */
const MACHINE = `
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mkdir -p /run/opt
mount --bind "$INSTALLED" /run/opt
eval "$PREPARE"
exec setpriv --reuid ${USER} --regid ${USER} --clear-groups unshare --user --map-root-user --net sh -euc "$ROOTLESS"
`;

/** As that user: a pod's namespace, and the calls of a runtime. What they print is the outcome. */
const ROOTLESS = `
unshare --net sleep 60 & pod=$!
trap "kill $pod" EXIT
until [ "$(readlink /proc/$pod/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
export CNI_CONTAINERID=rootless CNI_NETNS=/proc/$pod/ns/net CNI_IFNAME=eth0 CNI_PATH=/run/opt/cni/bin
call() {
  status=0
  out=$(printf %s "$CONFIG" | CNI_COMMAND=$1 /run/opt/cni/bin/weft) || status=$?
  echo "$1 $status $(printf %s "$out" | tr '\\n' ' ')"
}
call ADD
nsenter --net="$CNI_NETNS" ip -brief address show dev eth0 2>&1 | sed 's/@.*UP/ UP/'
for place in "$XDG_RUNTIME_DIR/weft" /dev/shm/weft-* /run/weft; do
  if [ -d "$place" ]; then stat -c '%n %a' "$place"; ls "$place" 2>&1 | sed "s/^/  /"; fi
done
call DEL
`;

let directory: string;
let runtime: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-rootless-'));
  runtime = join(directory, 'runtime');
  mkdirSync(runtime, { mode: 0o700 });
  for (const path of [directory, runtime]) chownSync(path, USER, USER);
  chmodSync(directory, 0o755);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Lines of what the user saw; throws where a machine does not let users have namespaces. */
function run(prepare: string, env: Readonly<Record<string, string>>): readonly string[] {
  const config = {
    ...{ cniVersion: '1.0.0', name: 'rootless', type: 'weft', bridge: 'cni-r', ipMasq: true },
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    capabilities: { portMappings: true },
    ipam: {
      type: 'host-local',
      ranges: [[{ subnet: '10.88.0.0/24' }]],
      dataDir: join(directory, 'networks'),
    },
  };
  const stdout = execFileSync('unshare', ['--mount', 'sh', '-euc', MACHINE], {
    env: {
      PATH: process.env['PATH'],
      INSTALLED: join(INSTALL_ROOT, 'opt'),
      PREPARE: prepare,
      ROOTLESS,
      CONFIG: JSON.stringify(config),
      XDG_RUNTIME_DIR: '',
      ...env,
    },
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  return stdout.trimEnd().split('\n');
}

const NOT_YET = ':';
const ROOTS = 'mkdir -m 700 /run/weft';

test.each([
  { name: 'root has a run directory', prepare: ROOTS },
  { name: 'nobody has one yet', prepare: NOT_YET },
])('where $name, calls work in the user’s runtime directory', ({ prepare }) => {
  const [add, address, place, ...rest] = run(prepare, { XDG_RUNTIME_DIR: runtime });
  expect(add).toMatch(/^ADD 0 .*10\.88\.0\.2/);
  expect(address).toContain('10.88.0.2/24');
  expect(place).toBe(`${runtime}/weft 700`);
  expect(rest).toContain('  attachments');
  expect(rest).toContain('  hostports');
  expect(rest.at(-1)).toBe('DEL 0');
});

test('without XDG_RUNTIME_DIR there is one by the uid outside', () => {
  const [add, , place, ...rest] = run(ROOTS, {});
  expect(add).toMatch(/^ADD 0 /);
  expect(place).toBe(`/dev/shm/weft-${USER} 700`);
  expect(rest.at(-1)).toBe('DEL 0');
});

test.each([
  { name: 'somebody else’s', plant: 'mkdir -m 777', why: 'it belongs to uid' },
  { name: 'a link', plant: `ln -s ${tmpdir()}`, why: 'it is a symbolic link' },
])('$name in its place is passed by, and refused where no name is left', ({ plant, why }) => {
  const name = `/dev/shm/weft-${USER}`;
  const [add, ...rest] = run(`${ROOTS}; ${plant} ${name}`, {});
  expect(add).toMatch(/^ADD 0 /);
  expect(rest).toContain(`${name}-1 700`);
  const all = `for i in "" $(seq -f -%g 20); do ${plant} ${name}$i; done`;
  const [refused] = run(`${ROOTS}; ${all}`, {});
  expect(refused).not.toMatch(/^ADD 0 /);
  expect(refused).toContain(why);
});

test('WEFT_RUN_DIR given by hand is never replaced', () => {
  const [add, , ...rest] = run(ROOTS, { WEFT_RUN_DIR: '/run/weft', XDG_RUNTIME_DIR: runtime });
  expect(add).not.toMatch(/^ADD 0 /);
  expect(add).toContain('EACCES');
  expect(rest.join('\n')).not.toContain(runtime);
});
