/** Plans what to try with pods and Services that are there. Pure. */
import type { ListedEndpoint, ListedPod, ListedService } from '../../agent/debug/lists/values.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import type { Plan } from './checks.ts';
import { joined, PlanBuilder, type Target, WHERE_OUTSIDE } from './plan-builder.ts';

export interface Found {
  /** Of this node. */
  readonly pods: readonly ListedPod[];
  readonly services: readonly ListedService[];
  readonly endpoints: readonly ListedEndpoint[];
  /** Of this node, for NodePorts. */
  readonly nodeAddresses: readonly IP[];
  /** Outside of the cluster. */
  readonly outside: readonly { readonly ip: IP; readonly port: number }[];
}

const MOST_NODES = 3;
const MOST_SERVICES = 2;
const DNS = /^(kube-dns|coredns)$/;
const DNS_PORT = 53;

/** Both families, as far as the client has addresses of them. */
export function planFound(found: Found): Plan {
  const pods = found.pods.filter(({ namespace }) => namespace !== '');
  const serving = new Set(found.endpoints.map(({ pod }) => pod));
  // One that serves nothing leaves those that do to be asked.
  const client =
    pods.find(({ namespace, name }) => !serving.has(`${namespace}/${name}`)) ?? pods[0];
  if (client === undefined) {
    return { checks: [], skipped: [{ title: 'all', why: 'no pod of this node is on record' }] };
  }
  const ips = client.interfaces.flatMap(({ addresses }) => addresses);
  const name = `${client.namespace}/${client.name}`;
  const plans = ([4, 6] as const).flatMap((family) => {
    const from = ips.find((ip) => ipFamily(ip) === family);
    return from === undefined ? [] : [planFamily(found, { from, family, name })];
  });
  return joined(plans);
}

interface Client {
  readonly from: IP;
  readonly family: IPFamily;
  /** `namespace/name` */
  readonly name: string;
}

function planFamily(found: Found, client: Client): Plan {
  const plan = new PlanBuilder(client.from, client.family);
  addPods(plan, found, client);
  addServices(plan, found, client);
  const outside = found.outside.find(({ ip }) => ipFamily(ip) === client.family);
  plan.tcp('pod to the outside', outside, WHERE_OUTSIDE);
  return plan;
}

function addPods(plan: PlanBuilder, { endpoints }: Found, { from, family, name }: Client): void {
  const used = endpoints.filter((each) => {
    const isOther = each.pod !== name && each.ip !== from;
    return each.family === family && isOther && each.protocol === 'tcp' && each.usedBy !== 'nobody';
  });
  const here = used.find(({ isLocal, pod }) => isLocal && pod !== undefined);
  plan.tcp('pod to pod, this node', here, 'no other pod of this node serves anything');
  if (here !== undefined) plan.full('full-size packet, this node', here.ip);
  const away = used.filter(({ isLocal, node }) => !isLocal && node !== undefined);
  const byNode = [...Map.groupBy(away, ({ node }) => node)].slice(0, MOST_NODES);
  if (byNode.length === 0) plan.skip('pod to pod, another node', 'no endpoint is on another node');
  for (const [node, [first]] of byNode) {
    plan.tcp(`pod to pod, node ${node}`, first, 'no endpoint is there');
    if (first !== undefined) plan.full(`full-size packet, node ${node}`, first.ip);
  }
}

function addServices(plan: PlanBuilder, found: Found, { family }: Client): void {
  const ports = found.services
    .flatMap((service) => service.ports.map((port) => ({ service, port })))
    .filter(({ port }) => port.family === family && port.endpoints.used > 0);
  const ofTcp = ports.filter(({ port }) => port.protocol === 'tcp');
  if (ofTcp.length === 0) plan.skip('pod to Service', 'no Service has an endpoint');
  for (const { service, port } of ofTcp.slice(0, MOST_SERVICES)) {
    const title = `pod to Service ${service.namespace}/${service.name}`;
    plan.tcp(title, clusterIPOf(port), 'it has no clusterIP');
  }
  const nodePort = ofTcp.flatMap(({ port }) => port.frontends).find(isNodePort);
  const ip = found.nodeAddresses.find((address) => ipFamily(address) === family);
  const target =
    ip === undefined || nodePort === undefined ? undefined : { ip, port: nodePort.port };
  plan.tcp(
    'pod to NodePort',
    target,
    'no Service has a NodePort, or the address of this node is not known',
  );
  const dns = ports.find(({ service, port }) => {
    return DNS.test(service.name) && port.protocol === 'udp' && port.port === DNS_PORT;
  });
  plan.dns(dns && clusterIPOf(dns.port));
}

type Frontend = ListedService['ports'][number]['frontends'][number];

function isNodePort({ kind }: Frontend): boolean {
  return kind === 'nodePort';
}

function clusterIPOf({
  frontends,
}: {
  readonly frontends: readonly Frontend[];
}): Target | undefined {
  const found = frontends.find(({ kind }) => kind === 'clusterIP');
  return found?.ip === undefined ? undefined : { ip: found.ip, port: found.port };
}
