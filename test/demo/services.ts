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
  cluster.writeManifest(
    '00-nodes.yaml',
    cluster.nodes.map((node) => nodeManifest(node.number, node.addresses)),
  );
  cluster.writeManifest('10-web.yaml', [
    serviceManifest(WEB),
    ...sliceManifests(WEB, SERVER_PORT, specs),
  ]);
  cluster.writeManifest('20-empty.yaml', [serviceManifest(EMPTY)]);
}
