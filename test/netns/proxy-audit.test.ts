import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { ServiceProxy } from '../../src/proxy/service-proxy.ts';
import { IPV4, IPV6 } from '../support/flows/net.ts';
import { endpointsOf, sliceOf } from '../support/flows/objects.ts';
import { SERVICE_CIDRS } from '../support/flows/settings.ts';
import { flowTable } from '../support/flows/table.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { createProxy } from '../support/proxy-lab.ts';
import { service } from '../support/proxy-objects.ts';

let node: TestNetns;
let netns: Netns;
let proxy: ServiceProxy;

beforeAll(() => {
  node = createNetns('audit');
  netns = netnses.open(node.path);
});

afterAll(() => {
  netns.close();
  node.remove();
});

afterEach(() => proxy.stop());

/** Services of every kind, by a proxy that nobody tells of changes in the kernel. */
async function start(net: typeof IPV4): Promise<void> {
  node.run('nft', 'flush', 'ruleset');
  proxy = createProxy(netns, { families: [net.family] });
  proxy.apply({ kind: 'serviceCIDRs', cidrs: SERVICE_CIDRS });
  for (const { services, slices } of flowTable(net).filter(({ settings }) => settings === 'base')) {
    for (const object of services) proxy.apply({ kind: 'service', now: object });
    for (const object of slices) proxy.apply({ kind: 'slice', now: object });
  }
  const annotations = { 'weft.dev/balance': 'source-hash' };
  proxy.apply({
    kind: 'service',
    now: service('sticky', net.vip(90), { sessionAffinity: 'ClientIP' }, annotations),
  });
  proxy.apply({ kind: 'slice', now: sliceOf('sticky', endpointsOf(net, 'a', 'b')) });
  proxy.setSynced();
  await proxy.sync();
}

/** What differs, by part, once no sync is in the way. */
async function findings(net: typeof IPV4): Promise<Readonly<Record<string, unknown>>> {
  const found: [string, unknown][] = [];
  for (const { what, look } of proxy.auditedParts(net.family)) {
    let differences = await look();
    for (let tries = 0; differences === 'unsettled' && tries < 50; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      differences = await look();
    }
    if (differences !== 0) found.push([what, differences]);
  }
  return Object.fromEntries(found);
}

describe.each([IPV4, IPV6])('IPv$family', (net) => {
  const family = net.family === 4 ? 'ip' : 'ip6';
  const table = `${family} weft-proxy`;

  test('the kernel holds what was programmed', async () => {
    await start(net);
    expect(await findings(net)).toEqual({});
  });

  test.each([
    {
      name: 'a verdict that is gone',
      change: `delete element ${table} service-ips { ${net.vip(90)} . tcp . 80 }`,
      want: { 'map service-ips': 1 },
    },
    {
      name: 'an address that is nobody’s',
      change: `add element ${table} cluster-ips { ${net.vip(250)} }`,
      want: { 'set cluster-ips': 1 },
    },
    {
      name: 'an endpoint in the place of another',
      change: `delete element ${table} endpoints { ${net.vip(90)} . tcp . 80 . 0 }; add element ${table} endpoints { ${net.vip(90)} . tcp . 80 . 0 : ${net.vip(99)} . 1 }`,
      want: { 'map endpoints': 1 },
    },
    {
      name: 'a rule that is gone',
      change: `flush chain ${table} reject-chain`,
      want: { chains: 1 },
    },
    {
      name: 'a table that is gone',
      change: `delete table ${table}`,
      want: expect.objectContaining({ 'map service-ips': expect.any(Number) }),
    },
  ])('$name is found and put right', async ({ change, want }) => {
    await start(net);
    node.run('nft', change);
    expect(await findings(net)).toEqual(want);
    proxy.resync(net.family);
    await proxy.sync();
    expect(await findings(net)).toEqual({});
  });
});
