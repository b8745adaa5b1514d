import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { EndpointSlice, Service } from '../../src/kube/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import type { ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { createProxy } from '../support/proxy-lab.ts';
import {
  hashedServices,
  pickingServices,
  pickingSlices,
  services,
  slices,
} from './proxy-golden-objects.ts';

let node: TestNetns;
let other: TestNetns;
let nodeNetns: Netns;

beforeAll(() => {
  node = createNetns('golden');
  other = createNetns('reloaded');
  nodeNetns = netnses.open(node.path);
});

afterAll(() => {
  nodeNetns.close();
  node.remove();
  other.remove();
});

const cases: readonly { readonly name: string; readonly options: Partial<ServiceProxyOptions> }[] =
  [
    { name: 'default', options: {} },
    {
      name: 'listed-addresses-by-bridge',
      options: {
        nodePortAddresses: {
          kind: 'cidrs',
          cidrs: ['192.168.0.0/24', 'fd00:192::/64'].map(parseCidr),
        },
        localAddresses: () => ['192.168.0.1', 'fd00:192::1'].map(parseIP),
        localDetection: { kind: 'bridge', name: 'br0' },
      },
    },
    { name: 'masquerade-all', options: { masqueradesAll: true } },
    {
      name: 'beside-a-tunnel',
      options: { masqueradedUdpPorts: { first: 10_000, last: 65_535 } },
    },
  ];

async function program(
  objects: readonly Service[],
  endpoints: readonly EndpointSlice[],
  options: Partial<ServiceProxyOptions> = {},
): Promise<void> {
  const proxy = createProxy(nodeNetns, options);
  for (const object of objects) proxy.apply({ kind: 'service', now: object });
  for (const object of endpoints) proxy.apply({ kind: 'slice', now: object });
  proxy.apply({ kind: 'serviceCIDRs', cidrs: ['172.30.0.0/16', 'fd00:172::/112'].map(parseCidr) });
  proxy.setSynced();
  await proxy.sync();
  await proxy.stop();
}

describe.each(cases)('$name', ({ name, options }) => {
  beforeAll(() => program(services, slices, options));

  test('is listed as in the golden file', async () => {
    await expect(node.run('nft', 'list', 'ruleset')).toMatchFileSnapshot(
      `../golden/proxy/${name}.nft`,
    );
  });

  test('loads from its own listing', () => {
    const listing = node.run('nft', 'list', 'ruleset');
    other.run('nft', 'flush', 'ruleset');
    other.run('sh', '-c', `nft -f - <<'END'\n${listing}\nEND`);
    expect(other.run('nft', 'list', 'ruleset')).toBe(listing);
  });
});

test('rules that name registers are listed in part, without an abort', async () => {
  await program(pickingServices, pickingSlices);
  await expect(node.run('nft', 'list', 'ruleset')).toMatchFileSnapshot(
    '../golden/proxy/picking.nft',
  );
  expect(node.run('nft', '--json', 'list', 'ruleset')).toContain('n2-affinity-600');
});

test('a consistent hash is listed', async () => {
  await program(hashedServices, pickingSlices);
  const rules = node.run('nft', 'list', 'ruleset').match(/dnat .* jhash .* map @endpoints/g);
  expect([...new Set(rules)]).toEqual(
    ['ip', 'ip6'].map(
      (family) =>
        `dnat ${family} to ${family} daddr . meta l4proto . th dport . jhash ${family} saddr mod 251 seed 0x77656674 map @endpoints`,
    ),
  );
});
