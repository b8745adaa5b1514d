/** BIRD and the agent as pods of the kustomization with component bgp, under containerd, and a router. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, textOf } from '../../scripts/manifests/kustomize.ts';
import { WEFT_VERSION } from '../../src/agent/version.ts';
import { openBirdSocket } from '../../src/routing/bird-socket.ts';
import { startRouter } from '../support/bird-lab.ts';
import { Containerd } from '../support/runtime/containerd.ts';
import { clientAddress, nodeAddress } from '../support/runtime/runtime-node.ts';
import { BGP_PASSWORDS, NodeApiServer, WeftPod } from '../support/runtime/weft-pod.ts';
import { until } from '../support/until.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const IMAGE = join(ROOT, `dist/weft-image-${ARCHITECTURE}.tar`);
const NAME = `weft.dev/weft:${WEFT_VERSION}`;
const PASSWORD = 'of the rack, 4 words';
const POD_CIDR = '10.70.0.0/24';
const ROUTING = `
components: [cni, proxy, fabric, routing]
routing:
  asn: 64512
  peers:
    - {name: rack-a, address: ${clientAddress}, asn: 64999, passwordFile: /run/weft-bgp/rack-a}
`;

let containerd: Containerd;
let router: ReturnType<typeof startRouter>;
let agent: WeftPod;
let bird: WeftPod;

beforeAll(async () => {
  containerd = await Containerd.start();
  const { node } = containerd;
  node.run('ctr', '-n', 'k8s.io', 'images', 'import', IMAGE);
  const isManaged = 'labels."io.cri-containerd.image"==managed';
  await until('the CRI knows the image', () =>
    node.run('ctr', '-n', 'k8s.io', 'images', 'ls', '-q', isManaged).includes(NAME),
  );
  node.run('mount', '--make-rshared', '/run');
  const server = await NodeApiServer.start(containerd);
  server.put('nodes', {
    ...{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-a', uid: 'a' } },
    spec: { podCIDRs: [POD_CIDR] },
    status: { addresses: [{ type: 'InternalIP', address: nodeAddress }] },
  });
  router = startRouter(node.client, routerConfig());
  const manifest = manifestWithRouter();
  agent = new WeftPod(containerd, manifest, 'weft');
  bird = new WeftPod(containerd, manifest, 'weft-bird');
  writeFileSync(node.path(`${BGP_PASSWORDS}/rack-a`), PASSWORD);
}, 120_000);

afterAll(async () => {
  router?.remove();
  await containerd?.remove();
});

/** What `kubectl kustomize` makes of a kustomization that uses the component. */
function manifestWithRouter(): string {
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'dist/overlay-'));
  const patch = [{ op: 'add', path: '/data/90-site.yaml', value: ROUTING }];
  const kustomization = {
    resources: ['../../cni-conf/kustomize/weft'],
    components: ['../../cni-conf/kustomize/components/bgp'],
    patches: [{ target: { kind: 'ConfigMap', name: 'weft' }, patch: JSON.stringify(patch) }],
  };
  try {
    writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
    return textOf(build(folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function routerConfig(): string {
  return `router id ${clientAddress};
protocol device {}
protocol bgp node {
  local ${clientAddress} as 64999; neighbor ${nodeAddress} as 64512; password "${PASSWORD}";
  connect delay time 1; connect retry time 2; error wait time 1, 4;
  ipv4 { import all; export none; };
}
`;
}

/** Since when the router has the session, and whether it knows the pods. */
async function seenByRouter() {
  const [protocols, routes] = [
    await router.ask('show protocols'),
    await router.ask(`show route for ${POD_CIDR}`),
  ];
  return {
    session: protocols.find(({ text }) => text.startsWith('node'))?.text,
    isKnown: routes.some(({ text }) => text.includes('[node')),
  };
}

test('BIRD waits for its file, and talks to the router with the password of the Secret', async () => {
  const birdId = await bird.start();
  const agentId = await agent.start();
  await until('the router knows the pods', async () => (await seenByRouter()).isKnown).catch(
    (cause) => {
      throw new Error(`BIRD:\n${bird.log('bird')}\nagent:\n${agent.log('weft')}`, { cause });
    },
  );
  expect(bird.log('bird')).not.toMatch(/<(ERR|WARN|FATAL|BUG|AUTH)>/);
  expect(agent.log('weft')).not.toContain(PASSWORD);

  // An upgrade of the agent takes its pod away.
  const before = await seenByRouter();
  await agent.stop(agentId);
  await agent.remove();
  expect(await seenByRouter()).toEqual(before);
  const again = await agent.start();
  const { node } = containerd;
  const socket = openBirdSocket(node.path('/run/weft/bird/bird.ctl'));
  await until('BIRD answers still', async () => (await socket('show status')).length > 0);
  expect(await seenByRouter()).toEqual(before);
  expect((await containerd.cri.containerStatus(birdId)).state).toBe('running');

  await bird.stop(birdId);
  await until('the router was told', async () => !(await seenByRouter()).isKnown);
  await agent.stop(again);
});
