/** Services and slices of the flow table. */
import type { EndpointSlice, Endpoint as EndpointSpec, Service } from '../../../src/kube/types.ts';
import { type EndpointText, service, slice } from '../proxy-objects.ts';
import type { Net } from './net.ts';

type Spec = Partial<Service['spec']>;

/** Port 80, on `nodePort` too, led to port 8080 of the endpoints. */
export function webPort(nodePort = 0): Spec {
  return { ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort }] };
}

/** A LoadBalancer with a clusterIP, a NodePort, and these load balancer addresses. */
export function loadBalancer(
  name: string,
  net: Net,
  n: number,
  options: { readonly nodePort: number; readonly ips: readonly string[]; readonly spec?: Spec },
): Service {
  const { nodePort, ips, spec } = options;
  const type = 'LoadBalancer';
  return {
    ...service(name, net.vip(n), { type, ...webPort(nodePort), ...spec }),
    status: { loadBalancer: { ingress: ips.map((ip) => ({ ip })) } },
  };
}

/** Endpoints of the lab: `a` and `b` run on the node. */
export function endpointsOf(net: Net, ...names: readonly ('a' | 'b' | 'remote')[]): EndpointText[] {
  const addresses = { a: net.podA, b: net.podB, remote: net.remote };
  return names.map((name) => ({
    ip: addresses[name],
    nodeName: name === 'remote' ? 'node-b' : 'node-a',
  }));
}

/** The same with conditions. */
export function withConditions(
  endpoints: readonly EndpointText[],
  conditions: NonNullable<EndpointSpec['conditions']>,
): EndpointText[] {
  return endpoints.map((endpoint) =>
    typeof endpoint === 'string' ? { ip: endpoint, conditions } : { ...endpoint, conditions },
  );
}

export function sliceOf(name: string, endpoints: readonly EndpointText[]): EndpointSlice {
  return slice({ service: name, endpoints });
}
