import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseIP } from '../../../../../src/net/ip.ts';
import { ipBytes, portBytes, protocolBytes } from '../../../../../src/nftables/bytes.ts';
import {
  diffTable,
  type TableDifference,
} from '../../../../../src/proxy/modes/nftables/difference.ts';
import { ServiceProxy } from '../../../../../src/proxy/service-proxy.ts';
import { fakeProxyOptions } from '../../../../support/fake-proxier.ts';
import { FakeKernel } from '../../../../support/fake-table.ts';
import { service, slice } from '../../../../support/proxy-objects.ts';

let kernel: FakeKernel;
let proxy: ServiceProxy;

beforeEach(async () => {
  kernel = new FakeKernel();
  proxy = new ServiceProxy({
    families: [4],
    ...fakeProxyOptions(kernel.open),
    localDetection: undefined,
  });
  for (const n of [1, 2]) {
    proxy.apply({ kind: 'service', now: service(`s${n}`, `172.30.0.${n}`) });
    proxy.apply({
      kind: 'slice',
      now: slice({ service: `s${n}`, endpoints: [`10.0.0.${n}`, '10.0.0.9'] }),
    });
  }
  proxy.setSynced();
  await proxy.sync();
});

afterEach(() => proxy.stop());

const key = (ip: string) => ipBytes(parseIP(ip)) + protocolBytes('tcp') + portBytes(80);

async function diff(hasRules = () => true): Promise<TableDifference> {
  const snapshot = proxy.snapshots().get(4);
  if (snapshot === undefined) throw new Error('no IPv4');
  return diffTable(snapshot, { openTable: kernel.open, hasRules });
}

const lines = ({ differences }: TableDifference) =>
  differences.map(({ sign, place, key: what, found, wanted, servicePort, cause }) =>
    [sign, place, what, found ?? '', wanted ?? '', servicePort ?? '', cause].join('|'),
  );

test('after a sync nothing differs, and nothing was written', async () => {
  const writes = kernel.changes.length;
  expect(await diff()).toEqual({ table: 'ip weft-proxy', state: 'asDefined', differences: [] });
  expect(kernel.changes).toHaveLength(writes);
});

test('a deleted element is drift', async () => {
  kernel.sets.get('service-ips')?.delete(key('172.30.0.1'));
  expect(lines(await diff())).toEqual([
    '+|service-ips|172.30.0.1 . tcp . 80||goto n2|ns/s1:http|drift',
  ]);
});

test('a changed element tells both', async () => {
  const data = 'drop';
  kernel.sets
    .get('service-ips')
    ?.set(key('172.30.0.1'), { key: key('172.30.0.1'), data, comment: 'ns/s1:http' });
  expect(lines(await diff())).toEqual([
    '~|service-ips|172.30.0.1 . tcp . 80|drop|goto n2|ns/s1:http|drift',
  ]);
});

test('a foreign element is too much', async () => {
  const comment = 'ns/other:http';
  kernel.sets
    .get('service-ips')
    ?.set(key('172.30.0.8'), { key: key('172.30.0.8'), data: 'goto n2', comment });
  expect(lines(await diff())).toContain(
    '-|service-ips|172.30.0.8 . tcp . 80|goto n2||ns/other:http|drift',
  );
});

test('a change on its way is no drift, of other Services is', async () => {
  proxy.apply({
    kind: 'slice',
    now: slice({ service: 's1', endpoints: ['10.0.0.7', '10.0.0.9'] }),
  });
  kernel.sets.get('cluster-ips')?.delete(ipBytes(parseIP('172.30.0.2')));
  kernel.sets.get('service-ips')?.delete(key('172.30.0.2'));
  expect(lines(await diff()).sort()).toEqual([
    '+|cluster-ips|172.30.0.2|||ns/s2:http|drift',
    '+|service-ips|172.30.0.2 . tcp . 80||goto n2|ns/s2:http|drift',
    '~|endpoints|172.30.0.1 . tcp . 80 . 0|10.0.0.1 . 8080|10.0.0.7 . 8080|ns/s1:http|pending',
  ]);
});

test('a removal on its way names the Service that goes', async () => {
  proxy.apply({ kind: 'service', was: service('s1', '172.30.0.1') });
  const removed = lines(await diff());
  expect(removed).toContain('-|service-ips|172.30.0.1 . tcp . 80|goto n2||ns/s1:http|pending');
  expect(removed).toContain(
    '-|endpoints|172.30.0.1 . tcp . 80 . 1|10.0.0.9 . 8080||ns/s1:http|pending',
  );
});

test('chains with other rules are named', async () => {
  const { differences } = await diff(() => false);
  expect(differences.map(({ sign, place, key: name }) => [sign, place, name])).toContainEqual([
    ...['~', 'chain', 'n2'],
  ]);
});

test('a missing table, one that nothing leads to, and one of another make', async () => {
  kernel.clear();
  expect((await diff()).state).toBe('missing');
  const other = kernel.open({ table: { family: 'ip', name: 'weft-proxy' }, sets: [], chains: [] });
  other.replace({ chains: [{ name: 'c', rules: [] }], elements: [] });
  expect((await diff()).state).toBe('missing');
  const base = { type: 'nat', hook: 'output', priority: 0 } as const;
  other.replace({ chains: [{ name: 'c', base, rules: [] }], elements: [] });
  expect((await diff()).state).toBe('otherMake');
});
