import { beforeEach, expect, test } from 'vitest';
import type { Link, LinkAddress, Rtnl } from '../../../../../src/kernel/types.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import { PORTAL_LINK, PortalLink } from '../../../../../src/proxy/modes/ipvs/portal-link.ts';
import { WeftError } from '../../../../../src/util/errors.ts';

const INDEX = 9;

let kind: string | undefined;
let probed: string[];
let refusal: string | undefined;
let held: (LinkAddress & { readonly link: number })[];

beforeEach(() => {
  kind = undefined;
  probed = [];
  refusal = undefined;
  held = [{ link: 2, address: parseIP('192.168.0.1'), prefixLength: 24 }];
});

function open(family: 4 | 6, others: readonly string[] = []): PortalLink {
  const rtnl = {
    createDummy: (name: string) => {
      if (refusal !== undefined) throw new WeftError(refusal, `create dummy link: ${refusal}`);
      if (name === PORTAL_LINK) kind ??= 'dummy';
      else probed.push(`+${name}`);
    },
    deleteLink: (index: number) => probed.push(`-${index}`),
    link: (name: string) => {
      const found = name === PORTAL_LINK ? { index: INDEX, kind } : { index: 7, kind: 'dummy' };
      // Nothing else of a link is looked at.
      return found.kind === undefined ? undefined : (found as Link);
    },
    addresses: () => held,
    addAddress: (link: number, address: LinkAddress) => held.push({ link, ...address }),
    deleteAddress: (link: number, { address }: LinkAddress) => {
      held = held.filter((each) => each.link !== link || each.address !== address);
    },
  };
  // The other methods are not called: a call of one would fail.
  const given = rtnl as unknown as Rtnl;
  return new PortalLink({ rtnl: given, family, otherAddresses: () => others.map(parseIP) });
}

test('addresses are host addresses of one family, on the link only', async () => {
  const [v4, v6] = [open(4), open(6)];
  v4.ensure();
  v6.ensure();
  await v4.add(['172.30.0.1', '172.30.0.2'].map(parseIP));
  await v6.add([parseIP('fd00:172::1')]);
  await v4.remove([parseIP('172.30.0.2')]);
  expect([v4.read(), v6.read()]).toEqual([['172.30.0.1'], ['fd00:172::1']]);
  expect(held.map(({ link, prefixLength }) => [link, prefixLength])).toEqual([
    [2, 24],
    [INDEX, 32],
    [INDEX, 128],
  ]);
});

test.each([
  { family: 4, want: ['192.168.0.1', '203.0.113.1'] },
  { family: 6, want: ['fd00:192::1'] },
] as const)('IPv$family addresses of other links that clients may use', ({ family, want }) => {
  const others = ['127.0.0.1', '192.168.0.1', '203.0.113.1', '::1', 'fe80::1', 'fd00:192::1'];
  expect(open(family, others).others()).toEqual(want);
});

test('without the link there are no addresses, and none are written', async () => {
  const link = open(4);
  expect(link.read()).toEqual([]);
  await link.add([]);
  await expect(link.add([parseIP('172.30.0.1')])).rejects.toThrow('link kube-ipvs0 is gone');
});

test("somebody else's link of that name is named and left alone", () => {
  kind = 'bridge';
  expect(() => open(4).ensure()).toThrow(/link kube-ipvs0 is of kind bridge/);
  expect(() => open(4).probe()).toThrow(/link kube-ipvs0 is of kind bridge/);
});

test('a probe leaves no trace', () => {
  open(4).probe();
  expect([kind, probed]).toEqual([undefined, ['+weft-probe', '-7']]);
  open(4).ensure();
  open(4).probe();
  expect(probed).toHaveLength(2);
});

test('a kernel without such links is told so', () => {
  refusal = 'EOPNOTSUPP';
  const told = /no dummy links for addresses: .*"modprobe dummy".*CONFIG_DUMMY/;
  expect(() => open(4).ensure()).toThrow(told);
  expect(() => open(4).probe()).toThrow(told);
});
