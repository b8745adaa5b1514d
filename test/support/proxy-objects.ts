/** Services and slices for tests, with only the fields under test. */
import type { EndpointSlice, Endpoint as EndpointSpec, Service } from '../../src/kube/types.ts';

type Spec = Partial<Service['spec']>;

/** A Service `ns/name` with one TCP port `http` 80 unless `spec` says otherwise. */
export function service(
  name: string,
  clusterIP: string,
  spec: Spec = {},
  annotations?: Readonly<Record<string, string>>,
): Service {
  return {
    metadata: { name, namespace: 'ns', ...(annotations === undefined ? {} : { annotations }) },
    spec: {
      clusterIP,
      clusterIPs: [clusterIP],
      ipFamilies: [clusterIP.includes(':') ? 'IPv6' : 'IPv4'],
      ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
      ...spec,
    },
  };
}

/** An address, or an endpoint in full. */
export type EndpointText = string | (Partial<EndpointSpec> & { readonly ip: string });

interface SliceOptions {
  readonly service: string;
  readonly suffix?: string;
  readonly endpoints: readonly EndpointText[];
  readonly ports?: EndpointSlice['ports'];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A slice of `ns/<service>` with the port `http` 8080; its family is that of the first address. */
export function slice(options: SliceOptions): EndpointSlice {
  const { service: owner, suffix = '1', endpoints, annotations } = options;
  const specs = endpoints.map((endpoint) => {
    if (typeof endpoint === 'string') return { addresses: [endpoint] };
    const { ip, ...rest } = endpoint;
    return { addresses: [ip], ...rest };
  });
  const isV6 = specs[0]?.addresses[0]?.includes(':') ?? false;
  return {
    metadata: {
      name: `${owner}-${suffix}`,
      namespace: 'ns',
      labels: { 'kubernetes.io/service-name': owner },
      annotations,
    },
    addressType: isV6 ? 'IPv6' : 'IPv4',
    endpoints: specs,
    ports: options.ports ?? [{ name: 'http', protocol: 'TCP', port: 8080 }],
  };
}
