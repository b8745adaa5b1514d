/** Services that change at random: the same seed gives the same changes. */
import type { EndpointSlice, Service } from '../../src/kube/types.ts';

/** One object put in place, or taken away, as a watch would tell of it. */
export type ClusterChange =
  | { readonly kind: 'services'; readonly verb: 'put' | 'delete'; readonly object: Service }
  | {
      readonly kind: 'endpointslices';
      readonly verb: 'put' | 'delete';
      readonly object: EndpointSlice;
    };

type ServiceSpec = Service['spec'];

const MAX_ENDPOINTS = 8;
/** Few, so that Services now and then want the same one. */
const EXTERNAL_IPS = ['198.51.100.1', '198.51.100.2', '198.51.100.3'];
const NODES = ['node-a', 'node-b', 'node-c'];

export class RandomCluster {
  readonly services = new Map<string, Service>();
  readonly slices = new Map<string, EndpointSlice>();
  readonly #random: () => number;
  readonly #size: number;
  readonly #hashedShare: number;

  /**
   * `size` is the number of names that Services come and go under, `hashedShare` of which are
   * balanced by a source hash: such a Service has hundreds of slots per frontend.
   */
  constructor(size: number, random: () => number, hashedShare = 0.02) {
    this.#size = size;
    this.#random = random;
    this.#hashedShare = hashedShare;
  }

  /** Brings every Service into being, with endpoints. */
  *fill(): Iterable<ClusterChange> {
    for (let n = 0; n < this.#size; n++) {
      yield this.#putService(n);
      for (const family of FAMILIES) yield this.#putSlice(n, family);
    }
  }

  /** The next change; endpoints change most often, as in a real cluster. */
  next(): ClusterChange {
    const n = this.#below(this.#size);
    const dice = this.#random();
    const name = nameOf(n);
    if (dice < 0.15) return this.#putService(n);
    const service = this.services.get(`ns/${name}`);
    if (dice < 0.22 && service !== undefined) {
      this.services.delete(`ns/${name}`);
      return { kind: 'services', verb: 'delete', object: service };
    }
    const family = this.#oneOf(FAMILIES);
    const slice = this.slices.get(`ns/${name}-${family}`);
    if (dice < 0.3 && slice !== undefined) {
      this.slices.delete(`ns/${name}-${family}`);
      return { kind: 'endpointslices', verb: 'delete', object: slice };
    }
    return this.#putSlice(n, family);
  }

  #putService(n: number): ClusterChange {
    const object: Service = {
      metadata: { name: nameOf(n), namespace: 'ns', annotations: this.#annotations() },
      spec: { ...this.#addresses(n), ...this.#ports(n), ...this.#policies() },
      ...(this.#chance(0.2) ? { status: { loadBalancer: { ingress: [loadBalancer(n)] } } } : {}),
    };
    this.services.set(`ns/${nameOf(n)}`, object);
    return { kind: 'services', verb: 'put', object };
  }

  #addresses(n: number): ServiceSpec {
    const clusterIPs = [`172.30.${n >> 8}.${n & 255}`, `fd00:172::${n.toString(16)}`];
    const ipFamilies = ['IPv4', 'IPv6'];
    const clusterIP = clusterIPs[0];
    if (this.#chance(0.7)) return { clusterIP, clusterIPs, ipFamilies };
    return { clusterIP, clusterIPs: clusterIPs.slice(0, 1), ipFamilies: ['IPv4'] };
  }

  #ports(n: number): ServiceSpec {
    const isNodePort = this.#chance(0.3);
    const type = isNodePort ? 'NodePort' : this.#chance(0.2) ? 'LoadBalancer' : 'ClusterIP';
    const port = (name: string, protocol: 'TCP' | 'UDP', number: number, nodePort: number) => ({
      ...{ name, protocol, port: number },
      ...(isNodePort ? { nodePort } : {}),
    });
    const ports = [port('http', 'TCP', 80, 30_000 + 2 * n)];
    if (this.#chance(0.3)) ports.push(port('dns', 'UDP', 53, 30_001 + 2 * n));
    return { type, ports };
  }

  #policies(): ServiceSpec {
    return {
      ...(this.#chance(0.1) ? { externalIPs: [this.#oneOf(EXTERNAL_IPS)] } : {}),
      ...(this.#chance(0.2) ? { externalTrafficPolicy: 'Local' } : {}),
      ...(this.#chance(0.1) ? { internalTrafficPolicy: 'Local' } : {}),
      ...(this.#chance(0.1)
        ? { loadBalancerSourceRanges: ['10.0.0.0/8', '203.0.113.0/24', '2001:db8::/32'] }
        : {}),
      ...(this.#chance(0.1)
        ? {
            sessionAffinity: 'ClientIP',
            sessionAffinityConfig: { clientIP: { timeoutSeconds: this.#oneOf([60, 10_800]) } },
          }
        : {}),
    };
  }

  #annotations(): Readonly<Record<string, string>> {
    return {
      ...(this.#chance(0.1) ? { 'weft.dev/weights': 'node/node-a=3, node/node-b=0' } : {}),
      ...(this.#chance(this.#hashedShare) ? { 'weft.dev/balance': 'source-hash' } : {}),
    };
  }

  #putSlice(n: number, family: Family): ClusterChange {
    const name = nameOf(n);
    const first = this.#below(250);
    const count = this.#below(MAX_ENDPOINTS + 1);
    const ip = (e: number) =>
      family === 'ipv4'
        ? `10.99.${n & 255}.${(first + e) % 250}`
        : `fd00:99:${n.toString(16)}::${((first + e) % 250).toString(16)}`;
    const object: EndpointSlice = {
      metadata: {
        name: `${name}-${family}`,
        namespace: 'ns',
        labels: { 'kubernetes.io/service-name': name },
      },
      addressType: family === 'ipv4' ? 'IPv4' : 'IPv6',
      ports: [
        { name: 'http', protocol: 'TCP', port: 8080 },
        { name: 'dns', protocol: 'UDP', port: 5353 },
      ],
      endpoints: Array.from({ length: count }, (_, e) => ({
        addresses: [ip(e)],
        nodeName: this.#oneOf(NODES),
        conditions: this.#conditions(),
      })),
    };
    this.slices.set(`ns/${name}-${family}`, object);
    return { kind: 'endpointslices', verb: 'put', object };
  }

  #conditions() {
    if (this.#chance(0.85)) return { ready: true };
    const terminating = this.#chance(0.5);
    return { ready: false, serving: this.#chance(0.5), terminating };
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #oneOf<T>(items: readonly T[]): T {
    const item = items[this.#below(items.length)];
    if (item === undefined) throw new RangeError('nothing to choose from');
    return item;
  }
}

type Family = 'ipv4' | 'ipv6';
const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

function nameOf(n: number): string {
  return `svc-${n}`;
}

function loadBalancer(n: number) {
  return { ip: `198.51.${101 + (n >> 8)}.${n & 255}` };
}
