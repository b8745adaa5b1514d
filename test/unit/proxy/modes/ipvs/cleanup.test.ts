import { beforeEach, expect, test } from 'vitest';
import type { Ipvs } from '../../../../../src/kernel/ipvs-types.ts';
import type { Link, LinkAddress } from '../../../../../src/kernel/types.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import { removeVirtualServers } from '../../../../../src/proxy/modes/ipvs/cleanup.ts';
import { portalEntry } from '../../../../../src/proxy/modes/ipvs/fragment.ts';
import { KernelSets } from '../../../../../src/proxy/modes/ipvs/kernel-sets.ts';
import { FakeIpSets } from '../../../../support/fake-ip-sets.ts';
import { FakeIpvsKernel } from '../../../../support/fake-ipvs.ts';

const WEB = 'TCP 172.30.0.1:80';
const API = 'TCP 172.30.0.2:80';
const NODE_PORT = 'TCP 192.168.0.1:30080';
const FOREIGN = 'TCP 192.168.0.1:8443';

let ipSets: FakeIpSets;
let kernel: FakeIpvsKernel;
let addresses: readonly string[] | undefined;

beforeEach(async () => {
  ipSets = new FakeIpSets();
  kernel = new FakeIpvsKernel();
  addresses = ['172.30.0.1', '172.30.0.2', 'fd00:172::1'];
  const sets = new KernelSets(ipSets, 4);
  await sets.ensure();
  await add(WEB, API, NODE_PORT, FOREIGN);
  const portal = { ip: parseIP('192.168.0.1'), protocol: 'tcp', port: 30_080 } as const;
  await sets.add([portalEntry('server', portal)]);
});

async function add(...servers: readonly string[]): Promise<void> {
  for (const text of servers) {
    const [, ip = '', port] = /TCP (.*):(\d+)/.exec(text) ?? [];
    const key = { kind: 'address', ip: parseIP(ip), protocol: 'tcp', port: Number(port) } as const;
    const destination = { ip: parseIP('10.1.0.3'), port: 8080, weight: 1 };
    await kernel.ipvs.apply([
      { op: 'addServer', server: { key, scheduler: 'rr', persistenceSeconds: 0 } },
      { op: 'addDestination', key, destination },
    ]);
  }
}

async function remove(drains: boolean): Promise<boolean> {
  // Only what a removal asks for.
  const ipvs = kernel.ipvs as Ipvs;
  return removeVirtualServers({ ipvs, ipSets, rtnl: fakeRtnl() }, { family: 4, drains });
}

/** One link with addresses, until it is deleted. */
function fakeRtnl() {
  const link = { index: 9, name: 'kube-ipvs0', kind: 'dummy' };
  const listed = () =>
    (addresses ?? []).map((address) => ({ link: 9, address: parseIP(address), prefixLength: 32 }));
  const rtnl = {
    // Nothing else of a link is looked at.
    link: () => (addresses === undefined ? undefined : (link as Link)),
    addresses: listed,
    deleteAddress: (_: number, { address }: LinkAddress) => {
      addresses = addresses?.filter((each) => each !== address);
      return true;
    },
    deleteLink: () => {
      addresses = undefined;
      return true;
    },
  };
  // The other methods are not called: a call of one would fail.
  return rtnl as unknown as Parameters<typeof removeVirtualServers>[0]['rtnl'];
}

const heads = () => kernel.serverTexts().map((text) => text.split(' rr')[0]);

test('all that is ours goes, what is not stays', async () => {
  expect(await remove(true)).toBe(true);
  expect([heads(), ipSets.names(), addresses]).toEqual([[FOREIGN], [], ['fd00:172::1']]);
  addresses = [];
  expect(await remove(true)).toBe(true);
  expect(addresses).toBeUndefined();
  expect(await remove(true)).toBe(false);
});

test('connections are waited for, with their address and the sets', async () => {
  kernel.connect(WEB, '10.1.0.3 8080', 2);
  await expect(remove(true)).rejects.toThrow('1 virtual servers still have connections');
  await expect(remove(true)).rejects.toThrow('1 virtual servers still have connections');
  expect(kernel.serverTexts()).toEqual([
    `${WEB} rr: 10.1.0.3 8080=0`,
    `${FOREIGN} rr: 10.1.0.3 8080=1`,
  ]);
  expect([addresses, ipSets.names().length > 0]).toEqual([['172.30.0.1', 'fd00:172::1'], true]);
  kernel.connect(WEB, '10.1.0.3 8080', 0);
  expect(await remove(true)).toBe(true);
  expect([heads(), ipSets.names(), addresses]).toEqual([[FOREIGN], [], ['fd00:172::1']]);
});

test('or not, where nobody can wait', async () => {
  kernel.connect(WEB, '10.1.0.3 8080', 2);
  expect(await remove(false)).toBe(true);
  expect(heads()).toEqual([FOREIGN]);
});
