import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { differenceText } from '../../src/agent/debug/difference-text.ts';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { IPFamily } from '../../src/net/ip.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { diffTable } from '../../src/proxy/modes/nftables/difference.ts';
import { kernelTables } from '../../src/proxy/modes/nftables/kernel-table.ts';
import { proxyTable } from '../../src/proxy/modes/nftables/layout.ts';
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
  node = createNetns('difference');
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
  proxy.apply({
    kind: 'service',
    now: service(
      'sticky',
      net.vip(90),
      { sessionAffinity: 'ClientIP' },
      { 'weft.dev/balance': 'source-hash' },
    ),
  });
  proxy.apply({ kind: 'slice', now: sliceOf('sticky', endpointsOf(net, 'a', 'b')) });
  proxy.setSynced();
  await proxy.sync();
}

async function diff(family: IPFamily): Promise<readonly string[]> {
  const snapshot = proxy.snapshots().get(family);
  if (snapshot === undefined) throw new Error(`no IPv${family}`);
  const connection = NftablesConnection.open({ netns });
  try {
    const difference = await diffTable(snapshot, {
      openTable: kernelTables(() => NftablesConnection.open({ netns })),
      hasRules: (chain) => connection.hasRules(proxyTable(family), chain),
    });
    return differenceText([difference]).trimEnd().split('\n');
  } finally {
    connection.close();
  }
}

test.each([IPV4, IPV6])('IPv$family: nothing differs, whatever is in it', async (net) => {
  await start(net);
  const table = `table ip${net.family === 6 ? '6' : ''} weft-proxy`;
  expect(await diff(net.family)).toEqual([`${table}: as it should be`]);
});

const table = 'ip weft-proxy';

test.each([
  {
    script: `delete element ${table} service-ips { 172.30.0.1 . tcp . 80 }`,
    want: ['    + service-ips 172.30.0.1 . tcp . 80 -> goto n1 (ns/one:http)'],
  },
  {
    script: `add element ${table} hairpins { 10.9.9.9 . 10.9.9.9 }`,
    want: ['    - hairpins 10.9.9.9 . 10.9.9.9'],
  },
  {
    script: `delete element ${table} endpoints { 172.30.0.1 . tcp . 80 . 0 }
      add element ${table} endpoints { 172.30.0.1 . tcp . 80 . 0 : 10.9.9.9 . 8080 }`,
    want: [
      '    ~ endpoints 172.30.0.1 . tcp . 80 . 0: 10.9.9.9 . 8080 -> 10.1.0.3 . 8080 (ns/one:http)',
    ],
  },
  {
    script: `flush chain ${table} masquerade-node
      add rule ${table} masquerade-node accept`,
    want: ['    ~ chain masquerade-node: other rules -> as it should be'],
  },
  {
    script: `add rule ${table} nat-prerouting accept`,
    want: ['    ~ chain nat-prerouting: other rules -> as it should be'],
  },
  { script: `add chain ${table} foreign`, want: ['    - chain foreign'] },
  {
    script: `add table ${table} { flags dormant; }`,
    want: ['    ~ table flags: dormant -> none'],
  },
  {
    script: `flush chain ${table} n1`,
    want: ['    ~ chain n1: other rules -> as it should be'],
  },
])('$script', async ({ script, want }) => {
  await start(IPV4);
  node.run('nft', script);
  const [title, cause, ...lines] = await diff(4);
  expect([title, cause, lines]).toEqual([
    `table ${table}: 1 differences`,
    '  changed by somebody else, or not yet repaired:',
    want,
  ]);
  expect(await diff(4)).toHaveLength(3);
});

test.each([
  { script: 'flush ruleset', want: 'table ip weft-proxy: missing, would be made' },
  { script: `add counter ${table} foreign`, want: /would be made anew$/ },
])('$script', async ({ script, want }) => {
  await start(IPV4);
  node.run('nft', script);
  const [line] = await diff(4);
  expect(line).toMatch(want);
});
