/** Names and connections for tests of the feed of flows. */
import { FlowNames } from '../../../../src/agent/flows/flow-names.ts';
import type { Connection } from '../../../../src/kernel/connections.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { type IP, ipFamily, parseIP } from '../../../../src/net/ip.ts';
import { parseService } from '../../../../src/proxy/service.ts';
import { takeAtOnce } from '../../../../src/util/turns.ts';

export const NODE = 'node-a';
export const ip = parseIP;

const service = (name: string, clusterIP: string, nodePort?: number) =>
  parseService({
    metadata: { namespace: 'shop', name },
    spec: {
      ...{ type: nodePort === undefined ? 'ClusterIP' : 'NodePort', clusterIP },
      ...{ clusterIPs: [clusterIP], ipFamilies: ['IPv4'] },
      ports: [{ name: 'http', protocol: 'TCP', port: 80, ...(nodePort && { nodePort }) }],
    },
  }).get(4)?.ports ?? [];

/** Pods shop/client (10.1.0.2) and shop/web-1 (10.1.0.3), Service shop/web (172.30.0.1, NodePort 30080). */
export function labNames(before?: FlowNames): FlowNames {
  const pod = (name: string, ...ips: readonly string[]) => ({ name, ips: ips.map(ip) });
  return takeAtOnce(
    FlowNames.of(
      {
        nodeName: NODE,
        localAddresses: [ip('192.168.0.1')],
        nodes: [
          {
            name: NODE,
            ips: [ip('192.168.0.1')],
            podCIDRs: ['10.1.0.0/24', 'fd00::/64'].map(parseCidr),
          },
          {
            name: 'node-b',
            ips: [ip('192.168.0.2')],
            podCIDRs: ['10.1.1.0/24', 'fd00:0:0:1::/64'].map(parseCidr),
          },
        ],
        pods: [pod('shop/client', '10.1.0.2', 'fd00::2'), pod('shop/web-1', '10.1.0.3')],
        services: [...service('web', '172.30.0.1', 30080), ...service('none', '172.30.0.2')],
      },
      before,
    ),
  );
}

export interface Side {
  readonly ip: IP;
  readonly port: number;
}

export function side(text: string): Side {
  const [address = '', port = ''] = text.split(' ');
  return { ip: ip(address), port: Number(port) };
}

/** Between `10.1.0.2 1000` and `172.30.0.1 80`; `sentOn` and `seenAs` are the sides after translation. */
export function connection(
  from: string,
  to: string,
  change: Partial<Connection> & {
    readonly sentOn?: string;
    readonly seenAs?: string;
    readonly status?: number;
    readonly protocol?: number;
  } = {},
): Connection {
  const { sentOn = to, seenAs = from, status = 0xa, protocol = 6, ...more } = change;
  const tuple = (source: Side, destination: Side) => ({
    ...{ source: source.ip, destination: destination.ip },
    ...{ sourcePort: source.port, destinationPort: destination.port },
  });
  return {
    flow: {
      ...{ family: ipFamily(side(from).ip), protocol, status, mark: 0 },
      original: tuple(side(from), side(to)),
      reply: tuple(side(sentOn), side(seenAs)),
    },
    ...{ sent: undefined, received: undefined, startedAtMs: undefined, endedAtMs: undefined },
    tcpState: undefined,
    ...more,
  };
}
