import { describe, expect, test } from 'vitest';
import type {
  ListedEndpoint,
  ListedPod,
  ServiceDetail,
} from '../../../../src/agent/debug/lists/values.ts';
import type { FlowEvent } from '../../../../src/agent/flows/flow-event.ts';
import type { FlowAnswer } from '../../../../src/agent/flows/flow-reader.ts';
import { denialsOf } from '../../../../src/agent/page/denials.ts';
import { findingsOf } from '../../../../src/agent/page/findings.ts';
import { flowsOf, parseFlowQuery } from '../../../../src/agent/page/flows.ts';
import { peersOf } from '../../../../src/agent/page/peers.ts';
import { podsOf } from '../../../../src/agent/page/pods.ts';
import { RateMeter } from '../../../../src/agent/page/rates.ts';
import { serviceOf } from '../../../../src/agent/page/services.ts';
import { MOST_DENIALS, MOST_ENDPOINTS, MOST_FLOWS } from '../../../../src/agent/page/snapshot.ts';
import type { Finding } from '../../../../src/agent/status/finding.ts';
import type { PlannedPeer } from '../../../../src/fabric/plan.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';

const listedPod = (name: string, container: string, bridge?: string): ListedPod => ({
  ...{ namespace: name === '' ? '' : 'shop', name, container, since: '2026-11-03T08:00:00Z' },
  interfaces: [
    {
      ...{ name: 'eth0', network: 'weft', addresses: [parseIP('10.244.1.2')], isUnfinished: false },
      hostInterface: 'weft1',
      ...(bridge === undefined ? {} : { bridge }),
    },
  ],
});

test('pods by name as people count; a container without a pod has its own name', () => {
  const pods = podsOf([
    listedPod('web-10', 'c1', 'cni0'),
    listedPod('web-2', 'c2'),
    listedPod('', '0123456789abcdef'),
    listedPod('web-2', 'older', 'cni0'),
  ]);
  expect(pods).toEqual([
    { key: 'container/0123456789ab', addresses: ['10.244.1.2'] },
    { key: 'shop/web-2', addresses: ['10.244.1.2'] },
    { key: 'shop/web-10', addresses: ['10.244.1.2'], veth: 'weft1', bridge: 'cni0' },
  ]);
});

const endpoint = (ip: string, more: Partial<ListedEndpoint> = {}): ListedEndpoint => ({
  ...{ namespace: 'shop', service: 'web', portName: 'http', protocol: 'tcp', family: 4 },
  ...{ ip: parseIP(ip), port: 8080, isLocal: false, state: 'ready', usedBy: 'everybody' },
  ...more,
});

function detail(endpoints: readonly ListedEndpoint[]): ServiceDetail {
  const port = { name: 'http', family: 4, protocol: 'tcp', port: 80 } as const;
  const ip = parseIP('10.96.0.1');
  return {
    ...{ namespace: 'shop', name: 'web', isPending: false, sourceRanges: [], endpoints },
    ...{ internalTrafficPolicy: 'Cluster', externalTrafficPolicy: 'Cluster' },
    ports: [
      {
        ...port,
        frontends: [
          { kind: 'clusterIP', ip, port: 80 },
          { kind: 'nodePort', port: 30_080 },
        ],
        endpoints: { used: endpoints.length, total: endpoints.length },
      },
    ],
  };
}

describe('a Service', () => {
  test('endpoints of this node first, those that nobody is led to last', () => {
    const { endpoints, serving, endpointCount } = serviceOf(
      detail([
        endpoint('10.244.2.2', { state: 'notReady', usedBy: 'nobody' }),
        endpoint('10.244.2.3', { node: 'node-2' }),
        endpoint('10.244.1.4', { isLocal: true }),
        endpoint('10.244.2.5', { usedBy: 'nobody', leftOut: 'otherZone' }),
        endpoint('10.244.1.4', { portName: 'metrics', isLocal: true }),
      ]),
      undefined,
    );
    expect(endpoints.map(({ address, state }) => `${address} ${state}`)).toEqual([
      '10.244.1.4 serving',
      '10.244.2.3 serving',
      '10.244.2.2 not ready',
      '10.244.2.5 left out',
    ]);
    expect([serving, endpointCount]).toEqual([2, 4]);
  });

  test('ports with their NodePort, and rates to a tenth', () => {
    const made = serviceOf(detail([]), { connections: 3.1234, refused: 0 });
    expect(made).toMatchObject({
      ...{ key: 'shop/web', addresses: ['10.96.0.1'], perSecond: 3.1 },
      ports: [{ name: 'http', protocol: 'tcp', port: 80, nodePort: 30_080 }],
    });
    expect(made).not.toHaveProperty('refusedPerSecond');
  });

  test('of many endpoints some are named, and all are counted', () => {
    const many = Array.from({ length: 100 }, (_, i) => endpoint(`10.244.2.${i}`));
    const { endpoints, endpointCount, serving } = serviceOf(detail(many), undefined);
    expect([endpoints.length, endpointCount, serving]).toEqual([MOST_ENDPOINTS, 100, 100]);
  });
});

describe('rates', () => {
  const totals = (connections: number, refused = 0) =>
    new Map([['shop/web', { connections, refused }]]);
  const rate = (connections: number, refused = 0) =>
    new Map([['shop/web', { connections, refused }]]);

  test('what a total grew by, over the time since it grew last', () => {
    const meter = new RateMeter();
    expect(meter.update(totals(100), 0)).toEqual(new Map());
    expect(meter.update(totals(100), 2_000)).toEqual(new Map());
    expect(meter.update(totals(150, 20), 10_000)).toEqual(rate(5, 2));
    expect(meter.update(totals(150, 20), 12_000)).toEqual(rate(5, 2));
    expect(meter.update(totals(150, 20), 23_000)).toEqual(rate(0, 0));
  });

  test('a total that began anew counts from nothing', () => {
    const meter = new RateMeter();
    meter.update(totals(100), 0);
    expect(meter.update(totals(30), 10_000)).toEqual(rate(3));
  });
});

test('another node, with the worst of its paths', () => {
  const path = { node: 'node-2', family: 4, target: parseIP('10.244.2.0'), way: 'vxlan' } as const;
  const finding = { path, wanted: 1450, roundTripMs: 1.234, atMs: 0 };
  const peer: PlannedPeer = {
    ...{
      name: 'node-2',
      addresses: [parseIP('192.168.0.2')],
      path: 'vxlan' as const,
      problems: [],
    },
    podCIDRs: [parseCidr('10.244.2.0/24')],
  };
  const found = (...mtus: readonly number[]) =>
    peersOf(
      [peer],
      mtus.map((mtu) => ({ ...finding, mtu })),
    )[0];
  expect(found()).toMatchObject({ key: 'node-2', way: 'vxlan', path: 'not probed' });
  expect(found(1450)).toMatchObject({ path: 'full', mtu: 1450, roundTripMs: 1.2 });
  expect(found(1450, 1400)).toMatchObject({ path: 'smaller', mtu: 1400 });
  expect(found(1450, 0)).toMatchObject({ path: 'silent' });
});

test('what is wrong besides the findings is one too', () => {
  const finding: Finding = {
    ...{
      check: 'ip-forward',
      level: 'failing' as const,
      concernsTraffic: true,
      seen: 'ip_forward is 0',
    },
    ...{ why: 'no packet is forwarded', cure: 'sysctl -w net.ipv4.ip_forward=1' },
  };
  const found = findingsOf([finding], { problems: ['ip_forward is 0', 'a port is taken'] });
  expect(found.map(({ key, seen }) => `${key}: ${seen}`)).toEqual([
    'ip-forward: ip_forward is 0',
    'problem-1: a port is taken',
  ]);
});

test('the last denials, the newest first', () => {
  const told = Array.from({ length: MOST_DENIALS + 5 }, (_, i) => ({
    ...{ number: i + 1, at: '', from: 'a/1', to: 'b/1', protocol: 'TCP', port: 80, packets: 1 },
    ...{ fromIP: parseIP('10.0.0.1'), toIP: parseIP('10.0.0.2'), policies: [], reason: '' },
    ...({ direction: 'ingress', pod: undefined, suppressed: 0 } as const),
  }));
  const keys = denialsOf(told).map(({ key }) => key);
  expect([keys.length, keys[0], keys.at(-1)]).toEqual([MOST_DENIALS, '65', '6']);
});

describe('flows', () => {
  const event = (more: Partial<FlowEvent> = {}): FlowEvent => ({
    ...{ kind: 'live', at: '', protocol: 'TCP', verdict: 'established' },
    from: { ip: parseIP('10.244.1.5'), port: 41_000, pod: 'shop/cart' },
    to: { ip: parseIP('10.96.0.1'), port: 80, service: 'shop/web:http' },
    endpoint: { ip: parseIP('10.244.2.9'), port: 8080 },
    ...more,
  });
  const answer = (events: readonly FlowEvent[]): FlowAnswer => ({
    ...{ reader: 'r', events, lost: 2, overwritten: 3, notices: [] },
    ...{ isListed: true, hasMore: false, isDone: false },
  });

  test('by the name that tells most, with one key from begin to end', () => {
    const { flows } = flowsOf(answer([event(), event({ kind: 'end' })]));
    const same = {
      ...{ key: 'TCP 10.244.1.5 41000 10.96.0.1 80', at: '' },
      ...{ from: 'shop/cart:41000', to: 'shop/web:http', endpoint: '10.244.2.9:8080' },
      ...{ protocol: 'TCP', verdict: 'established' },
    };
    expect(flows).toEqual([
      { ...same, kind: 'live' },
      { ...same, kind: 'end' },
    ]);
  });

  test('the last of many, and how many more there were', () => {
    const events = Array.from({ length: 200 }, (_, i) => event({ at: String(i) }));
    const { flows, missed } = flowsOf(answer(events));
    expect([flows.length, flows[0]?.at, flows.at(-1)?.at]).toEqual([MOST_FLOWS, '150', '199']);
    expect(missed).toBe(150 + 2 + 3);
  });

  test.each([
    ['pod=shop/web-1', { pod: 'shop/web-1' }],
    ['service=shop/web', { service: 'shop/web' }],
  ])('%s is asked for', (query, want) => {
    expect(parseFlowQuery(new URLSearchParams(query))).toEqual(want);
  });

  test.each(['', 'pod=', 'pod=web', 'pod=a/b/c', 'node=a/b'])('%s is refused', (query) => {
    expect(() => parseFlowQuery(new URLSearchParams(query))).toThrow('expected pod or service');
  });
});
