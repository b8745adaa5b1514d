import { describe, expect, test } from 'vitest';
import { NftablesError } from '../../../../../src/nftables/connection.ts';
import type { Transaction } from '../../../../../src/nftables/transaction.ts';
import { probeTables } from '../../../../../src/proxy/modes/nftables/probe.ts';

/** A kernel that refuses transactions whose JSON has this in it. */
function kernelWithout(pattern: RegExp, code = 'ENOENT') {
  const checked: string[] = [];
  return {
    checked,
    check: ({ table, operations }: Transaction) => {
      checked.push(`${table.family} ${table.name}`);
      if (pattern.test(JSON.stringify([table, operations]))) {
        throw new NftablesError(code, 'rule 1 of chain input-check');
      }
    },
  };
}

test('a kernel that has everything is asked once for each family', () => {
  const { check, checked } = kernelWithout(/nothing of this kind/);
  probeTables(check, [4, 6]);
  expect(checked).toEqual(['ip weft-probe', 'ip6 weft-probe']);
});

describe('what is missing is named', () => {
  test.each([
    { pattern: /"kind":"numgen"/, want: /the kernel has no CONFIG_NFT_NUMGEN; load its module/ },
    { pattern: /"kind":"hash"/, want: /no CONFIG_NFT_HASH/ },
    { pattern: /"kind":"fib"/, want: /no CONFIG_NFT_FIB_IPV4/ },
    { pattern: /"kind":"ct"/, want: /no CONFIG_NFT_CT/ },
    { pattern: /"kind":"reject"/, want: /no CONFIG_NFT_REJECT/ },
    { pattern: /"kind":"masquerade"/, want: /no CONFIG_NFT_MASQ/ },
    { pattern: /"type":"nat"/, want: /no CONFIG_NFT_NAT/ },
    { pattern: /"family":"ip"/, want: /no CONFIG_NF_TABLES with CONFIG_NF_TABLES_IPV4/ },
    { pattern: /"isDynamic":true/, want: /rule 1 of chain input-check: ENOENT; it needs kernel/ },
  ])('$want', ({ pattern, want }) => {
    const { check } = kernelWithout(pattern);
    expect(() => probeTables(check, [4, 6])).toThrow(want);
  });

  test('rights', () => {
    const { check, checked } = kernelWithout(/./, 'EPERM');
    expect(() => probeTables(check, [4])).toThrow(/: EPERM; it needs CAP_NET_ADMIN$/);
    expect(checked).toHaveLength(1);
  });
});
