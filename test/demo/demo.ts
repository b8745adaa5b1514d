/**
 * The main job, end to end and in the open: three nodes, one of them behind a router, five pods,
 * Services, a client outside; every claim checked with real traffic. FABRIC chooses the way between
 * nodes: auto, vxlan or host-gw. SOURCE chooses where objects come from: manifests, or etcd, by which nodes lease
 * their subnets too. Needs root and an installed tree (`make demo` makes it).
 */
import { Cluster, type Pod } from '../support/cluster.ts';
import { type RunningProgram, startServer } from '../support/workloads.ts';
import {
  checkBalance,
  checkClusterIP,
  checkEndpointRemoval,
  checkHairpin,
  checkNodePort,
  checkPodDeletion,
  checkPodToPod,
  checkRejection,
  checkRestart,
  checkWays,
  type Demo,
} from './checks.ts';
import { drawCluster } from './picture.ts';
import { Report } from './report.ts';
import { EMPTY, publish, SERVER_PORT, WEB } from './services.ts';

const PLACEMENT = [
  { name: 'web-1', node: 0 },
  { name: 'web-2', node: 0 },
  { name: 'web-3', node: 1 },
  { name: 'other', node: 1 },
  { name: 'far', node: 2 },
] as const;

/** What the network's configuration calls the ways between nodes. */
const ETCD_BACKENDS = {
  auto: { Type: 'vxlan', DirectRouting: true },
  vxlan: { Type: 'vxlan' },
  'host-gw': { Type: 'host-gw' },
} as const;

const report = new Report();
const programs: RunningProgram[] = [];
let cluster: Cluster | undefined;
try {
  report.step('three nodes, a router and a client outside, as network namespaces');
  const fabric = backend();
  // host-gw needs all nodes on one link.
  const farNodes = fabric === 'host-gw' ? [] : [3];
  cluster = new Cluster(3, 'demo', { fabric, farNodes, source: source() });
  if (cluster.etcd !== undefined) {
    report.step('etcd on the router, with nothing in it but the configuration of the network');
    await cluster.startEtcd(ETCD_BACKENDS[fabric]);
  }
  const demo = await build(cluster);
  console.log(`\n${drawCluster(demo.cluster, demo.pods, describeServices())}\n`);
  await check(demo);
} catch (error) {
  report.check('the demo ran to its end', false, String(error));
} finally {
  report.step('cleaning up');
  for (const program of programs) await program.end('SIGKILL');
  await cluster?.remove();
}
report.printTable();
process.exitCode = report.failures === 0 ? 0 : 1;

async function build(cluster: Cluster): Promise<Demo> {
  const pods: Pod[] = [];
  publish(cluster, []);
  report.step('an agent on each node');
  await Promise.all(cluster.nodes.map((node) => node.startAgent()));
  for (const { name, node } of PLACEMENT) {
    const host = cluster.nodes[node];
    if (host === undefined) throw new Error('placement names a missing node');
    report.step(`pod ${name} on ${host.name}: pause process, then the CNI binary`);
    const pod = await host.createPod(name);
    pods.push(pod);
    programs.push(await startServer(pod.netnsPath, name, SERVER_PORT));
  }
  publish(
    cluster,
    pods.filter((pod) => pod.name.startsWith('web')),
  );
  return { cluster, pods, report };
}

async function check(demo: Demo): Promise<void> {
  report.step('the ways between nodes');
  checkWays(demo, backend());
  report.step('pods reach pods, and the server sees who it is');
  await checkPodToPod(demo);
  report.step('ClusterIP from pods and from a node');
  await checkClusterIP(demo);
  report.step('NodePort from the client outside');
  await checkNodePort(demo);
  report.step('balance');
  await checkBalance(demo);
  report.step('a Service without endpoints');
  await checkRejection(demo);
  report.step('an endpoint is removed');
  await checkEndpointRemoval(demo);
  report.step('hairpin');
  await checkHairpin(demo);
  report.step('the agent restarts under traffic');
  await checkRestart(demo);
  report.step('a pod is deleted');
  checkPodDeletion(demo);
}

function backend(): keyof typeof ETCD_BACKENDS {
  const name = process.env['FABRIC'] ?? 'auto';
  if (name === 'auto' || name === 'vxlan' || name === 'host-gw') return name;
  throw new Error(`FABRIC=${name}: choose auto, vxlan or host-gw`);
}

function source(): 'manifests' | 'etcd' {
  const name = process.env['SOURCE'] ?? 'manifests';
  if (name === 'manifests' || name === 'etcd') return name;
  throw new Error(`SOURCE=${name}: choose manifests or etcd`);
}

function describeServices() {
  return [
    {
      name: WEB.name,
      text: `${WEB.clusterIPs.join(' ')} port ${WEB.port} TCP UDP, NodePort ${WEB.nodePort} → web-1 web-2 web-3`,
    },
    { name: EMPTY.name, text: `${EMPTY.clusterIPs.join(' ')} port ${EMPTY.port}, no endpoints` },
  ];
}
