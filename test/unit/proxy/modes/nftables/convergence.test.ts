/**
 * Whatever happened before, the table holds what a start from the same objects would have put there,
 * and an agent that starts with it has nothing to write.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EndpointSlice, Service } from '../../../../../src/kube/types.ts';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import type { ClusterChange } from '../../../../../src/proxy/cluster-change.ts';
import { tableSessions } from '../../../../../src/proxy/modes/nftables/table-session.ts';
import type { NodeFacts } from '../../../../../src/proxy/node-addresses.ts';
import { Proxier } from '../../../../../src/proxy/proxier.ts';
import { createLogger } from '../../../../../src/util/log.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { tell } from '../../../../support/fake-proxier.ts';
import { FakeKernel } from '../../../../support/fake-table.ts';
import { service, slice } from '../../../../support/proxy-objects.ts';
import { tableContent } from '../../../../support/table-content.ts';

const NAMES = ['a', 'b', 'c'] as const;
const NODES = ['node-a', 'node-b'] as const;
const UNUSED_CHAIN_MS = 6_000;

type Event =
  | { readonly kind: 'service'; readonly object: Service }
  | { readonly kind: 'serviceGone'; readonly name: string }
  | { readonly kind: 'slice'; readonly object: EndpointSlice }
  | { readonly kind: 'sliceGone'; readonly name: string }
  | { readonly kind: 'node'; readonly facts: NodeFacts }
  | { readonly kind: 'sync' }
  | { readonly kind: 'fail' }
  | { readonly kind: 'restart' }
  | { readonly kind: 'pause' };

const name = fc.constantFrom(...NAMES);

const ports = (nodePort: number | undefined) => [
  { name: 'http', protocol: 'TCP' as const, port: 80, ...(nodePort && { nodePort }) },
  { name: 'dns', protocol: 'UDP' as const, port: 53 },
];

const serviceEvent = fc
  .record({
    name,
    type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer'),
    nodePort: fc.constantFrom(undefined, 30_080, 30_081),
    externalIPs: fc.constantFrom([], ['198.51.100.1'], ['198.51.100.1', '198.51.100.2']),
    ingress: fc.constantFrom([], ['198.51.100.1'], ['198.51.100.3']),
    ranges: fc.constantFrom(
      [],
      ['192.168.0.0/24'],
      ['192.0.2.0/24', '192.0.2.1/32'],
      ['10.0.0.0/8'],
      ['192.0.2.1/32'],
      ['192.168.0.0/16'],
    ),
    internal: fc.constantFrom('Cluster', 'Local'),
    external: fc.constantFrom('Cluster', 'Local'),
    affinity: fc.constantFrom(undefined, undefined, 60, 600),
    annotations: fc.constantFrom<Record<string, string>>(
      {},
      { 'weft.dev/balance': 'source-hash' },
      { 'weft.dev/weights': 'node/node-a=3, 10.0.0.2=0' },
      { 'weft.dev/weights': 'nonsense' },
    ),
  })
  .map(({ name, affinity, ingress, annotations, ...wanted }): Event => {
    const object = service(name, `172.30.0.${NAMES.indexOf(name) + 1}`, {
      type: wanted.type,
      ports: ports(wanted.nodePort),
      externalIPs: wanted.externalIPs,
      loadBalancerSourceRanges: wanted.ranges,
      internalTrafficPolicy: wanted.internal,
      externalTrafficPolicy: wanted.external,
      ...(affinity !== undefined && {
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: affinity } },
      }),
    });
    const status = { loadBalancer: { ingress: ingress.map((ip) => ({ ip })) } };
    return {
      kind: 'service',
      object: { ...object, status, metadata: { ...object.metadata, annotations } },
    };
  });

const endpoint = fc
  .record({
    last: fc.integer({ min: 1, max: 5 }),
    nodeName: fc.constantFrom(...NODES),
    ready: fc.constantFrom(true, true, false),
    zone: fc.constantFrom(undefined, 'east', 'west'),
  })
  .map(({ last, nodeName, ready, zone }) => ({
    ip: `10.0.0.${last}`,
    nodeName,
    conditions: { ready, serving: true, terminating: !ready },
    ...(zone !== undefined && { hints: { forZones: [{ name: zone }] } }),
  }));

const sliceEvent = fc
  .record({
    name,
    suffix: fc.constantFrom('1', '2'),
    endpoints: fc.uniqueArray(endpoint, { maxLength: 5, selector: ({ ip }) => ip }),
  })
  .map(({ name, suffix, endpoints }): Event => {
    const targets = [
      { name: 'http', protocol: 'TCP' as const, port: 8080 },
      { name: 'dns', protocol: 'UDP' as const, port: 5353 },
    ];
    // The builder tells the family by the first address.
    const filled = slice({
      service: name,
      suffix,
      endpoints: ['10.0.0.9', ...endpoints],
      ports: targets,
    });
    return { kind: 'slice', object: { ...filled, endpoints: filled.endpoints.slice(1) } };
  });

const nodeEvent = fc
  .record({
    zone: fc.constantFrom(undefined, 'east', 'west'),
    address: fc.constantFrom('192.168.0.1', '192.168.7.1'),
    podCIDR: fc.constantFrom('10.0.0.0/24', '10.0.1.0/24'),
  })
  .map(({ zone, address, podCIDR }): Event => {
    const facts = { zone, addresses: [parseIP(address)], podCIDRs: [parseCidr(podCIDR)] };
    return { kind: 'node', facts };
  });

const event = fc.oneof(
  { weight: 6, arbitrary: serviceEvent },
  { weight: 6, arbitrary: sliceEvent },
  { weight: 1, arbitrary: name.map((name): Event => ({ kind: 'serviceGone', name })) },
  { weight: 1, arbitrary: name.map((name): Event => ({ kind: 'sliceGone', name })) },
  { weight: 1, arbitrary: nodeEvent },
  { weight: 4, arbitrary: fc.constant<Event>({ kind: 'sync' }) },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: 'fail' }) },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: 'restart' }) },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: 'pause' }) },
);

/** The objects as events left them. */
class Cluster {
  readonly services = new Map<string, Service>();
  readonly slices = new Map<string, EndpointSlice>();
  node: NodeFacts | undefined;
}

/** A proxier on a kernel, and the objects it was told. */
class Agent {
  readonly #kernel: FakeKernel;
  readonly #cluster: Cluster;
  readonly #clock = new FakeClock();
  /** Undefined while it is down. */
  #proxier: Proxier | undefined;

  constructor(kernel: FakeKernel, cluster: Cluster) {
    this.#kernel = kernel;
    this.#cluster = cluster;
  }

  #tell(change: ClusterChange): void {
    if (this.#proxier !== undefined) tell(this.#proxier, change);
  }

  async take(event: Event): Promise<void> {
    const { services, slices } = this.#cluster;
    switch (event.kind) {
      case 'service':
        services.set(event.object.metadata.name, event.object);
        this.#tell({ kind: 'service', now: event.object });
        return;
      case 'serviceGone': {
        const gone = services.get(event.name);
        if (gone !== undefined) this.#tell({ kind: 'service', was: gone });
        services.delete(event.name);
        return;
      }
      case 'slice':
        slices.set(event.object.metadata.name, event.object);
        this.#tell({ kind: 'slice', now: event.object });
        return;
      case 'sliceGone': {
        const gone = slices.get(`${event.name}-1`);
        if (gone !== undefined) this.#tell({ kind: 'slice', was: gone });
        slices.delete(`${event.name}-1`);
        return;
      }
      case 'node':
        this.#cluster.node = event.facts;
        this.#proxier?.apply({ kind: 'node', family: 4, facts: event.facts });
        return;
      case 'sync':
        return this.#running().sync();
      case 'fail':
        this.#kernel.failures = 1;
        await this.#running()
          .sync()
          .catch(() => {});
        this.#kernel.failures = 0;
        return;
      case 'pause':
        return this.#stop();
      case 'restart':
        await this.#stop();
        this.#running();
    }
  }

  /** Brings everything to its end: what is pending, and chains that nobody needs. */
  async settle(): Promise<void> {
    const proxier = this.#running();
    await proxier.sync();
    this.#clock.advance(UNUSED_CHAIN_MS);
    await proxier.sync();
    this.#clock.advance(UNUSED_CHAIN_MS);
    await proxier.sync();
    await this.#stop();
  }

  #running(): Proxier {
    this.#proxier ??= this.#start();
    return this.#proxier;
  }

  async #stop(): Promise<void> {
    await this.#proxier?.stop();
    this.#proxier = undefined;
  }

  #start(): Proxier {
    const proxier = new Proxier(4, {
      nodeName: 'node-a',
      localDetection: { kind: 'nodeCIDRs' },
      nodePortAddresses: { kind: 'primary' },
      hasNodeObjects: () => true,
      localAddresses: () => [],
      masqueradesAll: false,
      minSyncPeriodMs: 0,
      syncPeriodMs: 3_600_000,
      clock: this.#clock,
      log: createLogger('silent'),
      openSession: tableSessions(this.#kernel.open),
    });
    const { services, slices, node } = this.#cluster;
    if (node !== undefined) proxier.apply({ kind: 'node', family: 4, facts: node });
    for (const object of services.values()) tell(proxier, { kind: 'service', now: object });
    for (const object of slices.values()) tell(proxier, { kind: 'slice', now: object });
    proxier.setSynced();
    return proxier;
  }
}

async function play(events: readonly Event[]): Promise<{ kernel: FakeKernel; cluster: Cluster }> {
  const kernel = new FakeKernel();
  const cluster = new Cluster();
  const agent = new Agent(kernel, cluster);
  for (const event of events) await agent.take(event);
  await agent.settle();
  return { kernel, cluster };
}

describe('any sequence of events', () => {
  test('ends in the table that a start from the final objects makes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 25 }), async (events) => {
        const { kernel, cluster } = await play(events);
        const cold = new FakeKernel();
        await new Agent(cold, cluster).settle();
        expect(tableContent(kernel)).toEqual(tableContent(cold));
      }),
      { numRuns: 300 },
    );
  });

  test('leaves nothing to write for an agent that starts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 15 }), async (events) => {
        const { kernel, cluster } = await play(events);
        kernel.changes.length = 0;
        await new Agent(kernel, cluster).settle();
        expect(kernel.operations).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});
