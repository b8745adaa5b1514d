import { expect, test } from 'vitest';
import { parseIP } from '../../../../../src/net/ip.ts';
import type { Transaction } from '../../../../../src/nftables/transaction.ts';
import { type Portal, Portals } from '../../../../../src/proxy/modes/userspace/portals.ts';

const portal = (address: string, port: number): Portal => ({
  place: { protocol: 'tcp', address: parseIP(address), port: 80, service: 'ns/web' },
  port,
});

/** A kernel that notes what it is told: the operations of each transaction. */
function fakeKernel({ isAble = true, hasTable = false } = {}) {
  const calls: string[] = [];
  const text = ({ table, operations }: Transaction) =>
    `${table.family} ${operations.map(({ kind }) => kind).join(' ')}`;
  const kernel = {
    hasTable: () => hasTable,
    check: () => {
      if (!isAble) throw new Error('no nf_tables');
    },
    commit: (transaction: Transaction) => {
      calls.push(text(transaction));
      hasTable = !/deleteTable$/.test(text(transaction));
    },
    forget: () => {
      hasTable = false;
    },
  };
  return { kernel, calls };
}

const REPLACED =
  'ip addTable deleteTable addTable addSet addChain addChain addRule addRule addElements';

test('the table is replaced when portals change, and gone without any', () => {
  const { kernel, calls } = fakeKernel();
  const portals = new Portals(kernel, 4);
  portals.set([]);
  expect(calls).toEqual([]);
  portals.set([portal('172.30.0.1', 4001)]);
  portals.set([portal('172.30.0.1', 4001)]);
  portals.set([portal('172.30.0.1', 4002)]);
  expect(calls).toEqual([REPLACED, REPLACED]);
  portals.set([]);
  expect(calls.slice(2)).toEqual(['ip deleteTable']);
});

test('one of a former start is removed when it is not needed', () => {
  const { kernel, calls } = fakeKernel({ hasTable: true });
  new Portals(kernel, 4).set([]);
  expect(calls).toEqual(['ip deleteTable']);
});

test('portals of the other family are not its own', () => {
  const { kernel, calls } = fakeKernel();
  new Portals(kernel, 6).set([portal('172.30.0.1', 4001)]);
  expect(calls).toEqual([]);
});

test('a table that somebody deleted is lost, and made again', () => {
  const { kernel, calls } = fakeKernel();
  const portals = new Portals(kernel, 4);
  portals.set([portal('172.30.0.1', 4001)]);
  expect(portals.isLost).toBe(false);
  kernel.forget();
  expect(portals.isLost).toBe(true);
  portals.invalidate();
  portals.set([portal('172.30.0.1', 4001)]);
  expect([portals.isLost, calls.length]).toEqual([false, 2]);
});

test.each([true, false])('whether the kernel can: %s', (isAble) => {
  const { kernel, calls } = fakeKernel({ isAble });
  expect([new Portals(kernel, 4).isPossible, calls]).toEqual([isAble, []]);
});
