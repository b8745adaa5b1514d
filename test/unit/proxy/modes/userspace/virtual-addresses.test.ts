import { describe, expect, test } from 'vitest';
import type { LinkAddress } from '../../../../../src/kernel/types.ts';
import { type IP, parseIP } from '../../../../../src/net/ip.ts';
import {
  type AddressKernel,
  isOurs,
  removeVirtualAddresses,
  VirtualAddresses,
} from '../../../../../src/proxy/modes/userspace/virtual-addresses.ts';

const OUR_METRIC = 0x77656674;
type Known = LinkAddress & { readonly link: number };

const at = (text: string, changes: Partial<Known> = {}): Known => ({
  ...{ address: parseIP(text), prefixLength: text.includes(':') ? 128 : 32, link: 1 },
  ...changes,
});

/** A kernel with these addresses; IPv6 is routed after some looks. */
function fakeKernel(start: readonly Known[], looks = 0) {
  const addresses = [...start];
  const calls: string[] = [];
  let looked = 0;
  const kernel: AddressKernel = {
    // Nothing but the index is read.
    link: (name) => ({ index: name === 'lo' ? 1 : 9, name }) as never,
    addresses: () => {
      calls.push('list');
      return addresses;
    },
    addAddress: (link, address) => {
      calls.push(`add ${address.address}`);
      addresses.push({ ...address, link });
      return true;
    },
    deleteAddress: (_, { address }) => {
      calls.push(`delete ${address}`);
      addresses.splice(
        addresses.findIndex((each) => each.address === address && each.metric === OUR_METRIC),
        1,
      );
      return true;
    },
    localRoutes: () => (looked++ < looks ? [] : addresses.map(({ address }) => address)),
  };
  return { kernel, calls, addresses, looked: () => looked };
}

const ips = (...texts: readonly string[]): readonly IP[] => texts.map(parseIP);

test.each([
  { name: 'with our metric', address: at('10.0.0.1', { metric: OUR_METRIC }), want: true },
  { name: 'without', address: at('10.0.0.1'), want: false },
  { name: 'with another', address: at('10.0.0.1', { metric: 100 }), want: false },
  {
    name: 'of a network',
    address: at('10.0.0.1', { metric: OUR_METRIC, prefixLength: 24 }),
    want: false,
  },
])('an address $name is ours: $want', ({ address, want }) => {
  expect(isOurs(address)).toBe(want);
});

describe('addresses on lo', () => {
  test('what is missing is added, what is there is adopted, the rest of ours is removed', async () => {
    const { kernel, calls } = fakeKernel([
      at('172.30.0.1', { metric: OUR_METRIC }),
      at('172.30.0.9', { metric: OUR_METRIC }),
      at('172.30.0.8'),
    ]);
    const virtual = new VirtualAddresses(kernel, 4);
    await virtual.ensure(ips('172.30.0.1', '172.30.0.2'));
    await virtual.retain(new Set(ips('172.30.0.1', '172.30.0.2')));
    expect(calls).toEqual(['list', 'add 172.30.0.2', 'delete 172.30.0.9']);
  });

  test('one that the node has itself is not added, and ours beside it goes', async () => {
    const { kernel, calls } = fakeKernel([
      at('172.30.0.1', { link: 2, prefixLength: 24 }),
      at('172.30.0.2', { link: 2, prefixLength: 24 }),
      at('172.30.0.2', { metric: OUR_METRIC }),
    ]);
    const virtual = new VirtualAddresses(kernel, 4);
    await virtual.ensure(ips('172.30.0.1', '172.30.0.2'));
    await virtual.retain(new Set(ips('172.30.0.1', '172.30.0.2')));
    expect(calls).toEqual(['list', 'delete 172.30.0.2']);
  });

  test('one that the IPVS mode has is added beside it, and takes no NodePorts', async () => {
    const { kernel, calls } = fakeKernel([at('172.30.0.1', { link: 9 })]);
    const virtual = new VirtualAddresses(kernel, 4);
    await virtual.ensure(ips('172.30.0.1'));
    expect([calls, virtual.ofNode()]).toEqual([['list', 'add 172.30.0.1'], []]);
  });

  test('it is read again only after a change', async () => {
    const { kernel, calls } = fakeKernel([]);
    const virtual = new VirtualAddresses(kernel, 4);
    await virtual.ensure(ips('172.30.0.1'));
    await virtual.ensure(ips('172.30.0.1'));
    virtual.invalidate();
    await virtual.ensure(ips('172.30.0.1'));
    expect(calls).toEqual(['list', 'add 172.30.0.1', 'list']);
  });

  test('they are no source of connections to elsewhere', async () => {
    const { kernel, addresses } = fakeKernel([]);
    await new VirtualAddresses(kernel, 4).ensure(ips('172.30.0.1'));
    await new VirtualAddresses(kernel, 6).ensure(ips('fd00::1'));
    expect(addresses.map(({ scope, isDeprecated }) => [scope, isDeprecated])).toEqual([
      ['host', undefined],
      [undefined, true],
    ]);
  });

  test('IPv6 is waited for until it is routed', async () => {
    const { kernel, looked } = fakeKernel([], 3);
    await new VirtualAddresses(kernel, 6).ensure(ips('fd00::1'));
    expect(looked()).toBe(4);
  });

  test.each([
    { name: 'link-local', changes: { scope: 'link' } },
    { name: 'tentative', changes: { isTentative: true } },
    { name: 'a duplicate', changes: { isDuplicate: true } },
    { name: 'ours', changes: { metric: OUR_METRIC } },
  ] as const)('one that is $name takes no NodePorts', ({ changes }) => {
    const { kernel } = fakeKernel([at('fd00::1', { link: 1 }), at('fd00::2', changes)]);
    expect(new VirtualAddresses(kernel, 6).ofNode()).toEqual(['fd00::1']);
  });
});

test.each([
  { family: 4, want: ['delete 172.30.0.1'] },
  { family: 6, want: ['delete fd00::1'] },
] as const)('ours of IPv$family are removed', async ({ family, want }) => {
  const { kernel, calls } = fakeKernel([
    at('172.30.0.1', { metric: OUR_METRIC }),
    at('fd00::1', { metric: OUR_METRIC }),
    at('10.0.0.1'),
  ]);
  expect(await removeVirtualAddresses(kernel, family)).toBe(true);
  expect(await removeVirtualAddresses(kernel, family)).toBe(false);
  expect(calls.filter((call) => call !== 'list')).toEqual(want);
});
