import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ExplainSources, explain } from '../../../../src/agent/debug/explain.ts';
import {
  type FabricMasquerade,
  podMasqueradesOf,
} from '../../../../src/agent/debug/pod-masquerades.ts';
import type { FilterTable } from '../../../../src/agent/foreign/drops.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import type { LocalDetection } from '../../../../src/proxy/node-addresses.ts';
import { ServiceProxy } from '../../../../src/proxy/service-proxy.ts';
import type { ProxySnapshot } from '../../../../src/proxy/snapshot.ts';
import { fakeNode, fakePod } from '../../../support/fake-node.ts';
import { fakeProxyOptions } from '../../../support/fake-proxier.ts';
import { FakeKernel } from '../../../support/fake-table.ts';
import { service, slice } from '../../../support/proxy-objects.ts';

const NODE = parseIP('192.168.0.1');

let proxy: ServiceProxy;
let closed: number;

beforeEach(() => {
  closed = 0;
});

afterEach(() => proxy.stop());

function start(localDetection: LocalDetection | undefined, isSynced = true): ExplainSources {
  proxy = new ServiceProxy({
    families: [4],
    ...fakeProxyOptions(new FakeKernel().open),
    localDetection,
  });
  proxy.apply({ kind: 'service', now: service('web', '172.30.0.1') });
  proxy.apply({ kind: 'slice', now: slice({ service: 'web', endpoints: ['10.1.0.3'] }) });
  if (isSynced) proxy.setSynced();
  return {
    snapshots: () => proxy.snapshots(),
    openNode: () => fakeNode({ onClose: () => void closed++ }),
    mode: 'nftables',
    policyWorld: undefined,
    partyOf: () => undefined,
    podMasquerades: () => new Map(),
    filterTables: () => Promise.resolve([]),
    wait: () => Promise.resolve(),
    explainLive: () => Promise.resolve(undefined),
  };
}

const ask = (sources: ExplainSources, source: string, inInterface?: string, live?: number) =>
  explain(
    {
      packet: {
        ...{
          source: parseIP(source),
          destination: parseIP('172.30.0.1'),
          protocol: 'tcp',
          port: 80,
        },
        ...(inInterface === undefined ? {} : { inInterface }),
      },
      liveTimeoutMs: live,
    },
    sources,
    new AbortController().signal,
  );

describe('the interface a packet comes in by', () => {
  const bridge = { kind: 'bridge', name: 'br0' } as const;
  const cidrs = { kind: 'cidrs', cidrs: [parseCidr('10.0.0.0/8')] } as const;
  test.each([
    {
      name: 'a pod behind the bridge',
      detection: bridge,
      source: '10.1.0.2',
      want: ['br0', 'pod'],
    },
    {
      name: 'behind the default route',
      detection: bridge,
      source: '10.9.0.2',
      want: ['eth1', 'outside'],
    },
    { name: 'the node', detection: bridge, source: NODE, want: [undefined, 'node'] },
    {
      name: 'as asked',
      detection: bridge,
      source: '10.1.0.2',
      given: 'eth0',
      want: ['eth0', 'outside'],
    },
    { name: 'not needed', detection: cidrs, source: '10.1.0.2', want: [undefined, 'pod'] },
  ])('$name', async ({ detection, source, given, want }) => {
    const { explanation } = await ask(start(detection), source, given);
    const [origin] = explanation.decisions;
    expect([explanation.packet.inInterface, origin?.kind === 'origin' && origin.origin]).toEqual(
      want,
    );
    expect(closed).toBe(1);
  });
});

test('what is on its way is counted', async () => {
  const sources = start(undefined);
  expect((await ask(sources, '10.1.0.2')).pending).toBe(1);
  await proxy.sync();
  expect((await ask(sources, '10.1.0.2')).pending).toBe(0);
});

describe('who is not there', () => {
  const cases = [
    {
      name: 'no EndpointSlice',
      slices: [],
      want: { seen: expect.stringContaining('Service ns/web has no EndpointSlice') },
    },
    {
      name: 'a selector that matches nothing',
      slices: [slice({ service: 'web', endpoints: [] })],
      want: { seen: 'no pod with an address has the labels of the selector of Service ns/web' },
    },
    {
      name: 'nobody ready',
      slices: [
        slice({ service: 'web', endpoints: [{ ip: '10.1.0.3', conditions: { ready: false } }] }),
      ],
      want: { seen: expect.stringMatching(/^no pod of Service ns\/web is ready: 10.1.0.3/) },
    },
  ];
  test.each(cases)('$name', async ({ slices, want }) => {
    const sources = start(undefined);
    proxy.apply({ kind: 'slice', was: slice({ service: 'web', endpoints: ['10.1.0.3'] }) });
    for (const now of slices) proxy.apply({ kind: 'slice', now });
    const answer = await ask(sources, '10.1.0.2');
    expect(answer.causes[0]).toMatchObject({ id: 'no-endpoints', effect: 'refuses', ...want });
    expect(answer.outcome).toBe('refused');
  });
});

test('a pod that clusterCIDR leaves out', async () => {
  const cidrs = { kind: 'cidrs', cidrs: [parseCidr('10.9.0.0/16')] } as const;
  const node = () => fakeNode({ pods: [fakePod('default/client', ['10.1.0.2'])] });
  const answer = await ask({ ...start(cidrs), openNode: node }, '10.1.0.2');
  expect(answer).toMatchObject({
    outcome: 'allowed',
    names: { from: 'default/client' },
    causes: [
      {
        id: 'pod-not-local',
        seen: expect.stringContaining(
          'pod default/client of this node, but clusterCIDR is 10.9.0.0/16',
        ),
      },
    ],
  });
});

describe('rules of others', () => {
  const table = (policy: 'accept' | 'drop'): FilterTable => ({
    ...{ name: 'table ip filter', families: [4], chains: new Map() },
    bases: [{ chain: 'FORWARD', policy, policyCure: 'set it', isBeforeRouting: false }],
  });

  test.each([
    { name: 'a policy that drops', tables: [table('drop')], outcome: 'dropped' },
    { name: 'one that does not', tables: [table('accept')], outcome: 'allowed' },
  ])('$name', async ({ tables, outcome }) => {
    const sources = { ...start(undefined), filterTables: () => Promise.resolve(tables) };
    const answer = await ask(sources, '10.1.0.2');
    expect(answer.outcome).toBe(outcome);
    const [cause] = answer.causes;
    expect(cause?.seen).toBe(
      outcome === 'dropped'
        ? 'table ip filter, chain FORWARD: the policy drop drops it'
        : undefined,
    );
  });

  test('that cannot be read make it doubtful', async () => {
    const filterTables = () => Promise.reject(new Error('no program'));
    const { doubts } = await ask({ ...start(undefined), filterTables }, '10.1.0.2');
    expect(doubts).toEqual(['rules of others are not known: no program']);
  });
});

test('without a packet there is no live answer', async () => {
  expect((await ask(start(undefined), '10.1.0.2', undefined, 100)).live).toBeNull();
  expect(await ask(start(undefined), '10.1.0.2')).not.toHaveProperty('live');
});

test.each([{ name: 'not read yet', source: '10.1.0.2', isSynced: false, text: /try again/ }])(
  '$name',
  async ({ source, isSynced, text }) => {
    await expect(ask(start(undefined, isSynced), source)).rejects.toThrow(text);
  },
);

test('a family that is not served', async () => {
  const sources = start(undefined);
  const packet = { source: parseIP('fd00::1'), destination: parseIP('fd00::2'), port: 80 } as const;
  await expect(
    explain(
      { packet: { ...packet, protocol: 'tcp' }, liveTimeoutMs: undefined },
      sources,
      new AbortController().signal,
    ),
  ).rejects.toThrow(/no Services over IPv6/);
});

const NO_FABRIC: FabricMasquerade = { isFabrics: () => false, direct: [] };

test.each<{ name: string; fabric: FabricMasquerade; want: readonly string[] }>([
  { name: 'ipMasq', fabric: NO_FABRIC, want: ['ipMasq', 'fromPod', 'fromPod'] },
  {
    name: 'the fabric that does not know the endpoint',
    fabric: { isFabrics: () => true, direct: [parseCidr('10.1.2.0/24')] },
    want: ['ipMasq', 'ipMasq', 'ipMasq'],
  },
  {
    name: 'the fabric, to pods',
    fabric: { isFabrics: () => true, direct: [parseCidr('10.1.0.0/16')] },
    want: ['fromPod', 'fromPod', 'fromPod'],
  },
])('a pod is seen under the address of the node by $name', async ({ fabric, want }) => {
  const records = [
    recordOf('10.1.0.2', ['10.1.2.0/24']),
    recordOf('10.1.0.4', ['10.1.0.0/24']),
    { addresses: [parseIP('10.1.0.5')] },
  ];
  const podMasquerades = podMasqueradesOf(records, fabric);
  const cidrs = { kind: 'cidrs', cidrs: [parseCidr('10.0.0.0/8')] } as const;
  const sources = { ...start(cidrs), podMasquerades: () => podMasquerades };
  const reasonFor = async (source: string) => {
    const { verdict } = (await ask(sources, source)).explanation;
    return verdict.kind === 'dnat' ? verdict.candidates.map(({ because }) => because) : verdict;
  };
  const reasons = await Promise.all(['10.1.0.2', '10.1.0.4', '10.1.0.5'].map(reasonFor));
  expect(reasons).toEqual(want.map((reason) => [reason]));
});

test('rules of iptables come before the fabric', () => {
  const entry = {
    address: parseIP('10.1.0.2'),
    subnet: parseCidr('10.1.0.0/24'),
  };
  const owner = { network: 'net', containerId: 'a' };
  const plan = { masquerade: [], iptablesMasquerade: { owner, entries: [entry] } };
  const fabric = { isFabrics: () => true, direct: [parseCidr('10.0.0.0/8')] };
  const found = podMasqueradesOf([{ plan, addresses: [entry.address] }], fabric);
  expect(found).toEqual(new Map([[entry.address, ['10.1.0.0/24']]]));
});

/** A pod in a network of its own, and the networks where it keeps its address besides. */
function recordOf(address: string, except: readonly string[]) {
  const entry = {
    address: parseIP(address),
    subnet: parseCidr(`${address}/32`),
    except: except.map(parseCidr),
  };
  return { plan: { masquerade: [entry] }, addresses: [entry.address] };
}

test.each([
  ['a packet is sent once changes are in the kernel', 3, 0],
  ['changes that do not get there are told', Number.POSITIVE_INFINITY, 1],
])('%s', async (_, looks, pending) => {
  const sources = start(undefined);
  let looked = 0;
  const snapshots = () => {
    const isPending = ++looked < looks;
    const changed = (snapshot: ProxySnapshot): ProxySnapshot => {
      return { ...snapshot, pending: new Set(isPending ? ['ns/web'] : []) };
    };
    return new Map(
      [...sources.snapshots()].map(([family, snapshot]) => [family, changed(snapshot)]),
    );
  };
  const answer = await ask({ ...sources, snapshots }, '10.1.0.2', undefined, 1_000);
  expect(answer.pending).toBe(pending);
  expect(looked).toBeLessThan(50);
});
