/** An agent in a pod of a node without kube-proxy: how it comes to its API server, and to the next one. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentStatus } from '../../src/agent/status/values.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { until } from '../support/until.ts';

const WEFT = join(import.meta.dirname, '../../src/cli/weft.ts');
const CONTROL_PLANE = join(import.meta.dirname, '../support/workloads/control-plane.ts');
const ADDRESS = '192.168.0.1';
const SERVICE_ADDRESS = '10.96.0.1';

let node: TestNetns;
let directory: string;
let servers: ChildProcess;
let ports: readonly string[] = [];

const place = (name: string) => join(directory, name);

beforeAll(async () => {
  node = createNetns('discovery');
  node.batch([
    'link add eth0 type veth peer name peer0',
    `addr add ${ADDRESS}/24 dev eth0`,
    'link set eth0 up',
    'link set peer0 up',
    'route add default dev eth0',
  ]);
  directory = mkdtempSync(join(tmpdir(), 'wt-discovery-'));
  const name = `IP:${SERVICE_ADDRESS}`;
  servers = node.start(process.execPath, [CONTROL_PLANE, directory, '2', ADDRESS, name]);
  if (servers.stdout === null) throw new Error('no output of the API servers');
  const [line] = await once(createInterface({ input: servers.stdout }), 'line');
  ports = String(line).split(' ').slice(1);
  mkdirSync(place('host/etc/kubernetes'), { recursive: true });
  cpSync(place('kubeconfig-0'), place('host/etc/kubernetes/kubelet.conf'));
  writeFileSync(place('token'), 'of-the-service-account');
  writeFileSync(
    place('agent.json'),
    JSON.stringify({
      ...{ components: ['proxy'], nodeName: 'node-a', kubelet: { hostRoot: place('host') } },
      ...{ runDir: place('run'), stateDir: place('state') },
    }),
  );
  put('nodes', {
    ...{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-a' } },
    status: { addresses: [{ type: 'InternalIP', address: ADDRESS }] },
  });
  // The one that the kubelet does not use.
  const target = [{ name: 'https', protocol: 'TCP' as const, port: Number(ports[1]) }];
  publish(
    'kubernetes',
    SERVICE_ADDRESS,
    443,
    slice({ service: 'kubernetes', endpoints: [ADDRESS], ports: target }),
  );
}, 60_000);

afterAll(() => {
  node.remove();
  rmSync(directory, { recursive: true, force: true });
});

function put(plural: string, object: object): void {
  servers.stdin?.write(`${JSON.stringify({ put: [plural, object] })}\n`);
}

function publish(name: string, address: string, port: number, endpoints: object): void {
  const ports = [{ name: 'https', protocol: 'TCP' as const, port }];
  put('services', { apiVersion: 'v1', kind: 'Service', ...service(name, address, { ports }) });
  put('endpointslices', {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', ...endpoints },
  });
}

/** With a /run of its own that has what the kubelet mounts into a pod. */
function startAgent(): { readonly log: () => string } {
  const account = '/run/secrets/kubernetes.io/serviceaccount';
  const script = [
    'mount -t tmpfs none /run',
    `mkdir -p ${account}`,
    `cp ${place('token')} ${place('ca.crt')} ${account}`,
    `exec ${process.execPath} ${WEFT} agent --config ${place('agent.json')}`,
  ].join(' && ');
  const env = {
    ...process.env,
    KUBERNETES_SERVICE_HOST: SERVICE_ADDRESS,
    KUBERNETES_SERVICE_PORT: '443',
  };
  const agent = node.start('unshare', ['--mount', 'sh', '-c', script], { env });
  let log = '';
  agent.stderr?.on('data', (chunk) => {
    log += chunk;
  });
  return { log: () => log };
}

function source(): AgentStatus['source'] {
  const question = [WEFT, 'status', '--json', '--run-dir', place('run')];
  return JSON.parse(node.attempt(process.execPath, question).stdout).source;
}

const rules = () => node.attempt('nft', ['list', 'table', 'ip', 'weft-proxy']).stdout;

test("the kubelet's server first, and the Service's address once it is served and that is gone", async () => {
  const { log } = startAgent();
  await until('the Service of the API server is served', () => rules().includes(SERVICE_ADDRESS));
  expect(source()).toMatchObject({
    location: `${ADDRESS}:${ports[0]}`,
    foundBy: `the kubelet's kubeconfig ${place('host/etc/kubernetes/kubelet.conf')}`,
    problems: [],
  });
  servers.stdin?.write(`${JSON.stringify({ stop: 0 })}\n`);
  await until('it has found the other', () => source()?.location === SERVICE_ADDRESS);
  expect(source()).toMatchObject({ foundBy: 'KUBERNETES_SERVICE_HOST' });
  publish('web', '10.96.0.7', 80, slice({ service: 'web', endpoints: ['10.0.0.1'] }));
  await until('it hears of what is new', () => rules().includes('10.96.0.7'));
  await until('both are logged', () => log().match(/API server in use/g)?.length === 2);
}, 60_000);
