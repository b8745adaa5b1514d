import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ExplainSources, explain } from '../../../../src/agent/debug/explain.ts';
import {
  type MasqueradePlan,
  podMasqueradesOf,
} from '../../../../src/agent/debug/pod-masquerades.ts';
import type { NodeRtnl } from '../../../../src/kernel/types.ts';
import { type Cidr, parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import type { LocalDetection } from '../../../../src/proxy/node-addresses.ts';
import { ServiceProxy } from '../../../../src/proxy/service-proxy.ts';
import { fakeProxyOptions } from '../../../support/fake-proxier.ts';
import { FakeKernel } from '../../../support/fake-table.ts';
import { service, slice } from '../../../support/proxy-objects.ts';

const NODE = parseIP('192.168.0.1');
const LINKS = new Map([
  [2, 'eth0'],
  [3, 'br0'],
]);

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
    openRtnl: fakeRtnl,
    mode: 'nftables',
    podMasquerades: () => new Map(),
    tracePacket: () => Promise.resolve([]),
  };
}

/** The node of the default route over eth0 and pods behind br0; only what `explain` reads. */
function fakeRtnl(): NodeRtnl {
  const rtnl: Partial<NodeRtnl> = {
    addresses: () => [{ address: NODE, prefixLength: 24, link: 2 }],
    routes: () => [
      { destination: parseCidr('0.0.0.0/0'), link: 2 },
      { destination: parseCidr('10.1.0.0/24'), link: 3 },
    ],
    linkByIndex: (index) => {
      const name = LINKS.get(index);
      // Only the name is read.
      return name === undefined ? undefined : ({ name } as ReturnType<NodeRtnl['linkByIndex']>);
    },
    close: () => {
      closed++;
    },
  };
  // Nothing else is called, or the test fails.
  return rtnl as NodeRtnl;
}

const ask = (sources: ExplainSources, source: string, inInterface?: string, live?: number) =>
  explain(
    {
      command: 'explain',
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
      want: ['eth0', 'outside'],
    },
    { name: 'the node', detection: bridge, source: NODE, want: [undefined, 'node'] },
    {
      name: 'as asked',
      detection: bridge,
      source: '10.1.0.2',
      given: 'eth1',
      want: ['eth1', 'outside'],
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
      { command: 'explain', packet: { ...packet, protocol: 'tcp' }, liveTimeoutMs: undefined },
      sources,
      new AbortController().signal,
    ),
  ).rejects.toThrow(/no Services over IPv6/);
});

test('a pod with ipMasq is seen under the address of the node', async () => {
  const podMasquerades = podMasqueradesOf([
    { plan: planOf('10.1.0.2', [parseCidr('10.1.2.0/24')]) },
    { plan: planOf('10.1.0.4', [parseCidr('10.1.0.0/24')]) },
  ]);
  const cidrs = { kind: 'cidrs', cidrs: [parseCidr('10.0.0.0/8')] } as const;
  const sources = { ...start(cidrs), podMasquerades: () => podMasquerades };
  const reasonFor = async (source: string) => {
    const { verdict } = (await ask(sources, source)).explanation;
    return verdict.kind === 'dnat' ? verdict.candidates.map(({ because }) => because) : verdict;
  };
  expect(await reasonFor('10.1.0.2')).toEqual(['ipMasq']);
  expect(await reasonFor('10.1.0.4')).toEqual(['fromPod']);
  expect(await reasonFor('10.1.0.5')).toEqual(['fromPod']);
});

/** A pod in a network of its own, and the networks where it keeps its address besides. */
function planOf(address: string, except: readonly Cidr[]): MasqueradePlan {
  const subnet = parseCidr(`${address}/32`);
  const owner = { network: 'net', containerId: address };
  const entry = { address: parseIP(address), subnet, except };
  return {
    masquerade: [],
    iptablesMasquerade: { owner, entries: [entry] },
  };
}
