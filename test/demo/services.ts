import type { Cluster, Pod } from '../support/cluster.ts';
import {
  type EndpointSpec,
  nodeManifest,
  type ServiceSpec,
  serviceManifest,
  sliceManifests,
} from '../support/manifests.ts';

export const SERVER_PORT = 8080;

export const WEB: ServiceSpec = {
  name: 'web',
  clusterIPs: ['172.30.0.10', 'fd00:172:30::10'],
  port: 80,
  protocols: ['TCP', 'UDP'],
  nodePort: 30080,
};

export const EMPTY: ServiceSpec = {
  name: 'empty',
  clusterIPs: ['172.30.0.11', 'fd00:172:30::11'],
  port: 80,
};

/** Writes Nodes once, and Service `web` with the given endpoints; `empty` never has any. */
export function publish(cluster: Cluster, endpoints: readonly Pod[]): void {
  const specs: EndpointSpec[] = endpoints.map((pod) => ({
    addresses: pod.addresses,
    nodeName: pod.node.name,
  }));
  // With etcd who leases a subnet is a node.
  if (cluster.etcd === undefined) {
    const nodes = cluster.nodes.map((node) => nodeManifest(node.number, node.addresses));
    cluster.publish('00-nodes.yaml', nodes);
  }
  cluster.publish('10-web.yaml', [
    serviceManifest(WEB),
    ...sliceManifests(WEB, SERVER_PORT, specs),
  ]);
  cluster.publish('20-empty.yaml', [serviceManifest(EMPTY)]);
}
