/** Finding out what the kernel can do leaves nothing in it and tells nobody. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { NftablesConnection, NftablesError } from '../../src/nftables/connection.ts';
import type { Chain } from '../../src/nftables/model.ts';
import { watchTables } from '../../src/nftables/monitor.ts';
import { goTo, jump, masquerade } from '../../src/nftables/statements.ts';
import { Transaction } from '../../src/nftables/transaction.ts';
import { detectPrograms } from '../../src/proxy/modes/iptables/detection.ts';
import { probeRules } from '../../src/proxy/modes/iptables/probe.ts';
import { probeTables } from '../../src/proxy/modes/nftables/probe.ts';
import { enter, VARIANTS } from '../support/iptables-lab.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';

let node: TestNetns;
let netns: Netns;
let connection: NftablesConnection;

beforeEach(() => {
  node = createNetns('probe');
  netns = netnses.open(node.path);
  connection = NftablesConnection.open({ netns });
});

afterEach(() => {
  connection.close();
  netns.close();
  node.remove();
});

test('tables are checked and not made', async () => {
  const told: string[] = [];
  const watch = watchTables(netns, (event) => {
    told.push(event === 'overflow' ? event : [...event.tables].join());
  });
  const generation = connection.generation();
  probeTables((each) => connection.check(each), [4, 6]);
  expect(connection.generation()).toBe(generation);
  expect(connection.tables()).toEqual([]);
  const last = new Transaction({ family: 'ip', name: 'last' }).addTable();
  connection.commit(last);
  await expect.poll(() => told).toEqual(['ip last']);
  watch.close();
});

const GOES_NOWHERE: readonly Chain[] = [
  { name: 'one', rules: [{ statements: [goTo('nowhere')] }] },
];
/** Only in chains of type nat: the kernel finds it when it looks at the whole. */
const OUT_OF_PLACE: readonly Chain[] = [
  { name: 'one', rules: [{ statements: [masquerade()] }] },
  {
    name: 'two',
    base: { type: 'filter', hook: 'input', priority: 0 },
    rules: [{ statements: [jump('one')] }],
  },
];

test.each([
  ['a chain that is not there', GOES_NOWHERE],
  ['a statement out of place', OUT_OF_PLACE],
])('%s is refused by a check as by a commit', (_, chains) => {
  const transaction = new Transaction({ family: 'ip', name: 'other' }).addTable();
  for (const chain of chains) transaction.addChain(chain);
  expect(() => connection.commit(transaction)).toThrow(NftablesError);
  expect(() => connection.check(transaction)).toThrow(NftablesError);
  expect(connection.tables()).toEqual([]);
});

test.each(VARIANTS)('rules of iptables-%s are tried elsewhere', async (variant) => {
  const programs = await detectPrograms([4, 6], { variant, prefix: enter(node) });
  expect(await probeRules(programs)).toBe(true);
  expect(node.run('nft', 'list', 'ruleset')).toBe('');
  expect(node.run('cat', '/proc/net/ip_tables_names', '/proc/net/ip6_tables_names')).toBe('');
});
