import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { renderManifest } from '../../scripts/manifests/render.ts';
import { WEFT_VERSION } from '../../src/agent/version.ts';
import { Containerd } from '../support/runtime/containerd.ts';
import { nodeAddress } from '../support/runtime/runtime-node.ts';
import { ask, serveIn } from '../support/runtime/traffic.ts';
import { NodeApiServer, WeftPod } from '../support/runtime/weft-pod.ts';
import { until } from '../support/until.ts';

const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const IMAGE = join(import.meta.dirname, `../../dist/weft-image-${ARCHITECTURE}.tar`);
const NAME = `weft.dev/weft:${WEFT_VERSION}`;

let containerd: Containerd;
let server: NodeApiServer;
let pod: WeftPod;

beforeAll(async () => {
  containerd = await Containerd.start();
  const { node } = containerd;
  node.run('ctr', '-n', 'k8s.io', 'images', 'import', IMAGE);
  const isManaged = 'labels."io.cri-containerd.image"==managed';
  await until('the CRI knows the image under the name of the manifests', () =>
    node.run('ctr', '-n', 'k8s.io', 'images', 'ls', '-q', isManaged).includes(NAME),
  );
  // As systemd has it on a node: what is mounted below is passed on.
  node.run('mount', '--make-rshared', '/run');
  server = await NodeApiServer.start(containerd);
  server.put('nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'node-a', uid: 'a' },
    spec: { podCIDRs: ['10.70.0.0/24', 'fd00:10:70::/64'] },
    status: { addresses: [{ type: 'InternalIP', address: nodeAddress }] },
  });
  pod = new WeftPod(containerd, renderManifest('weft.yaml', {}));
});
afterAll(() => containerd?.remove());

/** Status code that a probe of the kubelet gets. */
function probe(path: string): string {
  const request = `GET ${path} HTTP/1.0\\r\\n\\r\\n`;
  const read = `exec 3<>/dev/tcp/127.0.0.1/10256; printf '${request}' >&3; head -1 <&3`;
  return containerd.node.netns.attempt('timeout', ['2', 'bash', '-c', read]).stdout.trim();
}

/** What a network agent may leave on a node. */
function traces() {
  const { node } = containerd;
  const list = (...args: string[]) =>
    node.netns
      .run('ip', ...args)
      .split('\n')
      .sort();
  return {
    links: list('-brief', 'link').map((line) => line.split(/\s+/)[0]),
    // Of table main: that of local addresses is the kernel's, and changes with forwarding, which stays.
    routes: [...list('route'), ...list('-6', 'route')],
    rules: [...list('rule'), ...list('-6', 'rule')],
    neighbours: list('neigh', 'show', 'nud', 'permanent'),
    ruleset: node.netns.run('nft', 'list', 'ruleset'),
    files: [
      '/etc/cni/net.d',
      '/opt/cni/bin',
      '/run/weft',
      '/var/lib/weft',
      '/var/lib/cni/networks',
    ].map((path) => node.run('sh', '-c', `find ${path} 2>/dev/null | sort`)),
  };
}

async function untilReady(): Promise<void> {
  try {
    await until('the agent is ready', () => probe('/readyz').endsWith('200 OK'));
  } catch (cause) {
    throw new Error(`the agent is not ready:\n${pod.log('weft')}`, { cause });
  }
}

test('the pod of the manifest makes a node of a bare one, and that of the removal a bare one of it', async () => {
  const { cri, node } = containerd;
  const before = traces();
  const agent = await pod.start();
  expect(existsSync(node.path('/opt/cni/bin/weft'))).toBe(true);
  expect(existsSync(node.path('/opt/cni/bin/loopback'))).toBe(true);

  await untilReady();
  expect(pod.log('weft')).toContain(
    "the kubelet's kubeconfig /run/weft/host/etc/kubernetes/kubelet.conf",
  );
  expect(probe('/livez')).toMatch(/200 OK$/);
  await until('the runtime has a network', async () => {
    return (await cri.status()).conditions['NetworkReady']?.isMet;
  });
  await until('the Node says so', async () => {
    // As its agent left it; without conditions before.
    const { status } = (await server.show('nodes', 'node-a')) as {
      status: { conditions?: { type: string; status: string }[] };
    };
    return status.conditions?.some(
      (one) => one.type === 'NetworkUnavailable' && one.status === 'False',
    );
  });

  const id = await cri.runPodSandbox(containerd.sandboxConfig('pod-1'));
  const { ips } = await cri.podSandboxStatus(id);
  expect(ips).toEqual(['10.70.0.2', 'fd00:10:70::2']);
  serveIn(node, node.footprint().netnses[0] ?? '', 80);
  expect(await ask(node.netns, '10.70.0.2', 80)).toContain('eth0 10.70.0.2');
  // The agent did it: there is no standalone on this node.
  expect(pod.log('weft')).toMatch(/"verb":"ADD".*cni request served/);

  const startedAt = performance.now();
  expect(await pod.stop(agent)).toEqual({ state: 'exited', exitCode: 0 });
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  expect(await ask(node.netns, '10.70.0.2', 80)).toContain('eth0 10.70.0.2');
  expect(problemsIn(pod.log('weft'))).toEqual([]);
  await pod.remove();

  const again = await pod.start();
  await untilReady();
  await cri.stopPodSandbox(id);
  await cri.removePodSandbox(id);
  expect(node.footprint()).toMatchObject({ addresses: [], links: [] });
  await pod.stop(again);
  await pod.remove();

  // Services that nobody else serves are not taken away, unless somebody says so.
  expect(await takeOff((manifest) => manifest)).toMatch(
    /removed bridge weft0.*kept table ip weft-proxy/s,
  );
  await takeOff((manifest) => manifest.replace('args: []', 'args: [--force]'));
  expect(traces()).toEqual(before);
});

/** Runs the pod of the removal to its end, and gives what it says. */
async function takeOff(changed: (manifest: string) => string): Promise<string> {
  const removal = new WeftPod(containerd, changed(renderManifest('weft-uninstall.yaml', {})));
  await removal.start();
  await removal.remove();
  return removal.log('node-clean');
}

/** The kubelet gives the score, and a machine in a sandbox its own limit of open files. */
const OF_THE_TEST = /oom score not set|few open files are allowed/;

/** Warnings and errors, such as of what the container may not do. */
function problemsIn(log: string): readonly string[] {
  const lines = log.split('\n').filter((line) => /"level":"(?:warn|error|fatal)"/.test(line));
  return lines.filter((line) => !OF_THE_TEST.test(line));
}

test.each(['nft', 'legacy'] as const)('mode iptables has its programs: %s', async (variant) => {
  const { node } = containerd;
  const manifest = renderManifest('weft.yaml', { PROXY_MODE: 'iptables' });
  const setting = `iptablesVariant: ${variant}`;
  pod = new WeftPod(containerd, manifest.replace('#iptablesVariant: auto', setting));
  const agent = await pod.start();
  await untilReady();
  expect(node.netns.run(`iptables-${variant}-save`)).toContain(':KUBE-SERVICES');
  expect(problemsIn(pod.log('weft'))).toEqual([]);
  await pod.stop(agent);
  await pod.remove();
  await takeOff((uninstall) => uninstall.replace('args: []', 'args: [--force]'));
  expect(node.netns.run(`iptables-${variant}-save`)).not.toContain('KUBE-SERVICES');
});

test('is small, and says what is in it', () => {
  expect(statSync(IMAGE).size).toBeLessThan(60_000_000);
  const bill = JSON.parse(readFileSync(IMAGE.replace(/tar$/, 'cdx.json'), 'utf8'));
  const names = bill.components.map(({ name }: { name: string }) => name);
  expect(names).toEqual(expect.arrayContaining(['iptables', 'libc6', 'ajv', 'yaml']));
  expect(names).not.toEqual(expect.arrayContaining(['vitest']));
});
