import { beforeEach, describe, expect, test } from 'vitest';
import { parseIP } from '../../../../../src/net/ip.ts';
import { findIpvsDrift, watchIpvs } from '../../../../../src/proxy/modes/ipvs/drift.ts';
import { KnownState } from '../../../../../src/proxy/modes/ipvs/known.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { FakeIpvsKernel } from '../../../../support/fake-ipvs.ts';
import { programPorts } from '../../../../support/iptables-lab.ts';
import { clusterOf, listedSettings, openIpvsSession } from '../../../../support/ipvs-session.ts';

const WEB = 'TCP 172.30.0.1:80';

let kernel: FakeIpvsKernel;
let known: KnownState;

beforeEach(async () => {
  kernel = new FakeIpvsKernel();
  known = new KnownState();
  const session = openIpvsSession(kernel, { known });
  const services = clusterOf({ web: ['10.1.0.3'], api: ['10.1.0.4'] });
  await programPorts(session, services, listedSettings(4, '192.168.0.1'));
});

const find = (turns = { next: 0 }) => findIpvsDrift(4, { kernel, known }, turns);

test('there is none after a sync', async () => {
  expect(await find()).toEqual([]);
});

describe('somebody', () => {
  test.each([
    {
      did: 'deletes virtual servers',
      change: () => kernel.servers.clear(),
      want: ['virtual server tcp 172.30.0.1 80 and 1 more'],
    },
    {
      did: 'changes a scheduler',
      change: () => {
        const entry = kernel.servers.get(WEB);
        if (entry !== undefined) entry.server = { ...entry.server, scheduler: 'lc' };
      },
      want: ['virtual server tcp 172.30.0.1 80'],
    },
    {
      did: 'changes a weight',
      change: () => {
        const destinations = kernel.servers.get(WEB)?.destinations;
        for (const [key, each] of destinations ?? [])
          destinations?.set(key, { ...each, weight: 7 });
      },
      want: ['destinations of virtual server tcp 172.30.0.1 80'],
    },
    {
      did: 'flushes sets',
      change: () => kernel.entries.clear(),
      want: ['ipset KUBE-CLUSTER-IP', 'ipset KUBE-IPVS-IPS', 'ipset KUBE-IPVS-SERVERS'],
    },
    {
      did: 'takes an address',
      change: () => kernel.held.delete(parseIP('172.30.0.2')),
      want: ['address 172.30.0.2'],
    },
    { did: 'adds virtual servers of his own', change: addForeign, want: [] },
  ])('$did', async ({ change, want }) => {
    await change();
    const found = await find();
    expect(found.filter((each) => !/^destinations/.test(each) || want.includes(each))).toEqual(
      want,
    );
  });
});

async function addForeign(): Promise<void> {
  const key = { kind: 'address', ip: parseIP('198.51.100.7'), protocol: 'tcp', port: 80 } as const;
  await kernel.ipvs.apply([
    { op: 'addServer', server: { key, scheduler: 'lc', persistenceSeconds: 0 } },
  ]);
}

test('while somebody writes nothing is known', async () => {
  kernel.servers.clear();
  known.unsettle();
  expect(await find()).toEqual([]);
});

test('all servers have their turn', async () => {
  const many = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`s${i}`, ['10.1.0.3']]));
  const session = openIpvsSession(kernel, { known });
  await programPorts(session, clusterOf(many), listedSettings(4, '192.168.0.1'));
  for (const { destinations } of kernel.servers.values()) destinations.clear();
  const turns = { next: 0 };
  const counts: number[] = [];
  for (let look = 0; look < 4; look += 1) {
    const [text = ''] = await find(turns);
    counts.push(Number(/and (\d+) more/.exec(text)?.[1]) + 1);
  }
  expect(counts).toEqual([50, 50, 20, 50]);
});

test('a watch looks every ten seconds, and not after its end', async () => {
  const clock = new FakeClock();
  const seen: string[][] = [];
  const watch = watchIpvs(new Map([[4, { kernel, known }]]), {
    clock,
    onDrift: (family, what) => seen.push([String(family), ...what]),
    onError: (_, error) => {
      throw error;
    },
  });
  kernel.held.clear();
  clock.advance(9_999);
  expect(seen).toEqual([]);
  clock.advance(1);
  await expect.poll(() => seen).toEqual([['4', 'address 172.30.0.1 and 1 more']]);
  watch.close();
  clock.advance(60_000);
  expect(seen).toHaveLength(1);
});
