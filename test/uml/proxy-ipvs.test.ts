/** What the IPVS mode makes of Services, as ipvsadm sees it, and what it leaves alone. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import type { Service } from '../../src/kube/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import type { IpvsModeOptions } from '../../src/proxy/modes/ipvs/mode.ts';
import type { ServiceProxy } from '../../src/proxy/service-proxy.ts';
import { IPV4, IPV6 } from '../support/flows/net.ts';
import { endpointsOf, sliceOf, webPort } from '../support/flows/objects.ts';
import { addForeign, foreignIn } from '../support/ipvs-foreign.ts';
import { openIpvsLab } from '../support/ipvs-lab.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { createProxy } from '../support/proxy-lab.ts';
import { service } from '../support/proxy-objects.ts';

let node: TestNetns;
const closing: (() => Promise<void> | void)[] = [];

beforeEach(() => {
  node = createNetns('ipvs');
  node.batch([
    'link add eth0 up type dummy',
    'addr add 192.168.0.1/24 dev eth0',
    'addr add fd00:192::1/64 dev eth0 nodad',
  ]);
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  node.remove();
});

/** A proxy in IPVS mode that was told of these Services, each with endpoints a and b. */
async function start(
  services: readonly Service[],
  options: Partial<IpvsModeOptions> = {},
): Promise<ServiceProxy> {
  const { mode, close } = await openIpvsLab(node, options);
  closing.push(close);
  const netns = netnses.open(node.path);
  closing.push(() => netns.close());
  const proxy = createProxy(netns, { openSession: mode.openSession, syncPeriodMs: 1_000 });
  closing.push(() => proxy.stop());
  for (const each of services) {
    proxy.apply({ kind: 'service', now: each });
    const net = each.spec.clusterIP?.includes(':') ? IPV6 : IPV4;
    proxy.apply({ kind: 'slice', now: sliceOf(each.metadata.name, endpointsOf(net, 'a', 'b')) });
  }
  proxy.setSynced();
  await proxy.sync();
  return proxy;
}

/** `ipvsadm --save` of the virtual servers at an address and port. */
function saved(portal: string): readonly string[] {
  const lines = node.run('ipvsadm', '--save', '-n').trimEnd().split('\n');
  return lines.filter((line) => line.split(' ')[2] === portal).sort();
}

const [a, b] = [IPV4.podA, IPV4.podB];
const spread = (portal: string, scheduler: string, weights: readonly [number, number] = [1, 1]) => [
  `-A -t ${portal} -s ${scheduler}`,
  `-a -t ${portal} -r ${a}:8080 -m -w ${weights[0]}`,
  `-a -t ${portal} -r ${b}:8080 -m -w ${weights[1]}`,
];
const affinity = {
  sessionAffinity: 'ClientIP',
  sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
} as const;

const CASES: readonly {
  readonly name: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: Partial<Service['spec']>;
  readonly want: (portal: string) => readonly string[];
}[] = [
  { name: 'nothing said', want: (portal) => spread(portal, 'rr') },
  ...['rr', 'wrr', 'lc', 'wlc', 'lblc', 'lblcr', 'dh', 'sh', 'mh', 'sed', 'nq', 'fo', 'ovf'].map(
    (scheduler) => ({
      name: `annotated ${scheduler}`,
      annotations: { 'weft.dev/ipvs-scheduler': scheduler },
      want: (portal: string) => spread(portal, scheduler),
    }),
  ),
  {
    name: 'flags of a hash',
    annotations: { 'weft.dev/ipvs-scheduler': 'sh, port, fallback' },
    want: (portal) => spread(portal, 'sh -b sh-fallback,sh-port'),
  },
  {
    name: 'source hash',
    annotations: { 'weft.dev/balance': 'source-hash' },
    want: (portal) => spread(portal, 'mh -b mh-fallback'),
  },
  {
    name: 'weights',
    annotations: { 'weft.dev/weights': `${IPV4.podA}=3` },
    want: (portal) => spread(portal, 'wrr', [3, 1]),
  },
  { name: 'session affinity', spec: affinity, want: (portal) => spread(portal, 'rr -p 600') },
];

test('virtual servers are as ipvsadm would make them', async () => {
  const services = CASES.map(({ spec, annotations }, i) =>
    service(`case-${i}`, IPV4.vip(i + 1), spec, annotations),
  );
  await start(services);
  for (const [i, { name, want }] of CASES.entries()) {
    const portal = `${IPV4.vip(i + 1)}:80`;
    expect([name, ...saved(portal)]).toEqual([name, ...want(portal)]);
  }
});

test('every frontend has one, with the configured scheduler', async () => {
  const spec = { type: 'LoadBalancer', externalIPs: [IPV4.external(1)] } as const;
  const balanced = {
    ...service('web', IPV4.vip(1), { ...spec, ...webPort(30080) }),
    status: { loadBalancer: { ingress: [{ ip: IPV4.lb(1) }] } },
  };
  const six = service('six', IPV6.vip(1), { type: 'NodePort', ...webPort(30081) });
  await start([balanced, six], { scheduler: 'wlc' });
  const four = [`${IPV4.vip(1)}:80`, `${IPV4.lb(1)}:80`, `${IPV4.external(1)}:80`];
  for (const portal of [...four, `${IPV4.node}:30080`]) {
    expect(saved(portal)).toEqual(spread(portal, 'wlc'));
  }
  for (const portal of [`[${IPV6.vip(1)}]:80`, `[${IPV6.node}]:30081`]) {
    expect(saved(portal)).toEqual([
      `-A -t ${portal} -s wlc`,
      `-a -t ${portal} -r [${IPV6.podA}]:8080 -m -w 1`,
      `-a -t ${portal} -r [${IPV6.podB}]:8080 -m -w 1`,
    ]);
  }
  const bound = node.ip<{ addr_info: { local: string }[] }[]>('addr', 'show', 'kube-ipvs0');
  expect(bound.flatMap(({ addr_info }) => addr_info.map(({ local }) => local)).sort()).toEqual(
    [IPV4.vip(1), IPV4.lb(1), IPV4.external(1), IPV6.vip(1)].sort(),
  );
});

test('what others have made stays, through starts and changes', async () => {
  addForeign(node);
  const before = foreignIn(node);
  expect(before.length).toBeGreaterThan(14);
  const web = service('web', IPV4.vip(1), { type: 'NodePort', ...webPort(30080) });
  const proxy = await start([web]);
  expect([saved(`${IPV4.vip(1)}:80`).length, foreignIn(node)]).toEqual([3, before]);
  proxy.apply({ kind: 'service', was: web });
  await proxy.sync();
  await expect.poll(() => saved(`${IPV4.vip(1)}:80`), { timeout: 20_000 }).toEqual([]);
  await start([]);
  expect(foreignIn(node)).toEqual(before);
});

test('virtual servers in excludeCIDRs are left alone, those of nobody go', async () => {
  await start([service('web', IPV4.vip(1)), service('kept', IPV4.vip(66))]);
  for (const close of closing.splice(0).reverse()) await close();
  await start([], { excludeCIDRs: [parseCidr(`${IPV4.vip(66)}/31`)] });
  const portals = () => [1, 66].map((n) => saved(`${IPV4.vip(n)}:80`).length);
  await expect.poll(portals, { timeout: 20_000 }).toEqual([0, 3]);
});

/** Without what the kernel does by itself. */
function everything(): readonly string[] {
  return [
    node.run('ipvsadm', '--save', '-n'),
    node.run('ipset', 'list', '-n'),
    node.run('iptables-legacy-save').replaceAll(/^#.*$|\[\d+:\d+\]/gm, ''),
    node.run('ip', '-o', 'link'),
    node.run('sysctl', 'net.ipv4.vs', 'net.ipv4.ip_forward'),
  ];
}

test('a scheduler that the kernel lacks: an error that helps, and nothing changed', async () => {
  // The tables of iptables are there once they were listed.
  everything();
  const before = everything();
  await expect(openIpvsLab(node, { scheduler: 'twos' })).rejects.toThrow(
    'this kernel has no IPVS scheduler twos (ipvs.scheduler): load it with "modprobe ip_vs_twos", ' +
      'or boot a kernel built with CONFIG_IP_VS_TWOS',
  );
  expect(everything()).toEqual(before);
});

test('a Service that asks for one gets the configured one, and it is told', async () => {
  const annotations = { 'weft.dev/ipvs-scheduler': 'twos' };
  const missing: string[] = [];
  const onMissingScheduler = (scheduler: string) => missing.push(scheduler);
  await start([service('web', IPV4.vip(1), {}, annotations)], { onMissingScheduler });
  expect([saved(`${IPV4.vip(1)}:80`), missing]).toEqual([
    spread(`${IPV4.vip(1)}:80`, 'rr'),
    ['twos'],
  ]);
});
