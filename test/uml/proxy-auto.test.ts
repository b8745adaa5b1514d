/** A kernel that has iptables-legacy, and no nftables for IPv4. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { openTriedPrograms } from '../../src/proxy/modes/iptables/tried-programs.ts';
import { probeTables } from '../../src/proxy/modes/nftables/probe.ts';
import { ModeAgent } from '../support/mode-agent.ts';

const LACKS = 'the kernel has no CONFIG_NF_TABLES with CONFIG_NF_TABLES_IPV4';

let agent: ModeAgent;

beforeAll(() => {
  agent = new ModeAgent('auto');
});

afterAll(() => agent.remove());

test('nftables is refused by name', () => {
  const { status, stderr } = agent.runToEnd('nftables');
  expect([status, stderr]).toEqual([1, expect.stringContaining(`proxy mode nftables: ${LACKS}`)]);
});

test('what auto asks: no nftables, and iptables in the variant that the kernel has', async () => {
  const connection = NftablesConnection.open();
  try {
    expect(() => probeTables((each) => connection.check(each), [4, 6])).toThrow(LACKS);
  } finally {
    connection.close();
  }
  const { variant, isTried } = await openTriedPrograms([4, 6], 'auto');
  expect([variant, isTried]).toEqual(['legacy', true]);
  const named = openTriedPrograms([4, 6], 'nft');
  await expect(named).rejects.toThrow('the kernel has no CONFIG_NF_TABLES; load its module');
});
