/** A Service for each pod of a policy lab, by our own proxy on each node. */
import { netnses } from '../../src/kernel/netns.ts';
import type { EndpointSlice, Protocol, Service } from '../../src/kube/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { type IPFamily, parseIP } from '../../src/net/ip.ts';
import type { Place, PodPlace, PolicyLab } from './policy-lab.ts';
import type { Question } from './policy-matrix.ts';
import { createProxy } from './proxy-lab.ts';
import { service, slice } from './proxy-objects.ts';

export interface LabServices {
  /** The question with its packets sent to the Service. */
  byClusterIP(question: Question): Question;
  /** The same over TCP to the first port, by a NodePort of this node. */
  byNodePort(question: Question, node: Place): Question;
  close(): Promise<void>;
}

const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];
const FAMILIES: readonly IPFamily[] = [4, 6];
const FIRST_NODE_PORT = 30_000;

/** Gives every pod a clusterIP of each family with these ports, all protocols, and a NodePort. */
export async function addServices(lab: PolicyLab, ports: readonly number[]): Promise<LabServices> {
  const opened = lab.nodes.map(({ netns, nodeName, ips }) => {
    const handle = netnses.open(netns.path);
    const proxy = createProxy(handle, {
      nodeName,
      localDetection: { kind: 'cidrs', cidrs: ['10.244.0.0/16', 'fd00:244::/32'].map(parseCidr) },
      nodePortAddresses: {
        kind: 'cidrs',
        cidrs: ['192.0.2.0/24', '2001:db8::/64'].map(parseCidr),
      },
      localAddresses: () => Object.values(ips).map(parseIP),
    });
    return { handle, proxy };
  });
  for (const { proxy } of opened) {
    for (const pod of lab.pods) {
      for (const family of FAMILIES) {
        proxy.apply({ kind: 'service', now: serviceOf(pod, family, ports) });
        proxy.apply({ kind: 'slice', now: sliceOf(pod, family, ports) });
      }
    }
    proxy.setSynced();
    await proxy.sync();
  }
  return {
    byClusterIP: (question) => ({
      ...question,
      via: { host: clusterIP(question.to, question.family), port: question.port },
    }),
    byNodePort: (question, node) => ({
      ...question,
      via: { host: node.ips[question.family], port: nodePort(question.to, question.family) },
    }),
    async close() {
      for (const { proxy, handle } of opened) {
        await proxy.stop();
        handle.close();
      }
    },
  };
}

function clusterIP({ index }: Place, family: IPFamily): string {
  return family === 4 ? `10.96.0.${index + 1}` : `fd00:96::${(index + 1).toString(16)}`;
}

/** Services of one name each have one family here. */
function nodePort({ index }: Place, family: IPFamily): number {
  return FIRST_NODE_PORT + 10 * index + family;
}

const nameOf = ({ index }: Place, family: IPFamily) => `pod${index}-v${family}`;

const portsOf = (ports: readonly number[]) =>
  PROTOCOLS.flatMap((protocol) =>
    ports.map((port) => ({ name: `${protocol.toLowerCase()}-${port}`, protocol, port })),
  );

function serviceOf(pod: PodPlace, family: IPFamily, ports: readonly number[]): Service {
  const [first, ...others] = portsOf(ports);
  if (first === undefined) throw new Error('a Service needs a port');
  return service(nameOf(pod, family), clusterIP(pod, family), {
    type: 'NodePort',
    ports: [{ ...first, nodePort: nodePort(pod, family) }, ...others],
  });
}

function sliceOf(pod: PodPlace, family: IPFamily, ports: readonly number[]): EndpointSlice {
  const endpoints = [{ ip: pod.ips[family], nodeName: `n${pod.node + 1}` }];
  return slice({ service: nameOf(pod, family), endpoints, ports: portsOf(ports) });
}
