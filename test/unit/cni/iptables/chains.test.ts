import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  hostPortChains,
  isMasqueradeChain,
  masqueradeChain,
  removalOf,
} from '../../../../src/cni/iptables/chains.ts';
import { ownerOfRule } from '../../../../src/cni/iptables/masquerade.ts';
import { parseIP } from '../../../../src/net/ip.ts';

const owner = { network: 'net', containerId: 'pod-1' };
const digest = createHash('sha512').update('netpod-1').digest('hex');
const chain = `CNI-${digest.slice(0, 24)}`;
const comment = '-m comment --comment "name: \\"net\\" id: \\"pod-1\\""';

test('[62] names of chains: 28 characters of prefix and digest', () => {
  expect(masqueradeChain(owner)).toBe(chain);
  expect(hostPortChains(owner)).toEqual([
    `CNI-DN-${digest.slice(0, 21)}`,
    `CNI-SN-${digest.slice(0, 21)}`,
  ]);
  for (const name of [chain, ...hostPortChains(owner)]) expect(name).toHaveLength(28);
  expect([chain, ...hostPortChains(owner), 'CNI-ADMIN'].map(isMasqueradeChain)).toEqual([
    true,
    false,
    false,
    false,
  ]);
});

describe('what is removed', () => {
  const listing = (...lines: string[]) =>
    ['# Generated', '*nat', ...lines, 'COMMIT', ''].join('\n');
  const jump = (address: string) => `-A POSTROUTING -s ${address} ${comment} -j ${chain}`;
  const rules = [`-A ${chain} -d 10.0.0.0/24 ${comment} -j ACCEPT`, `-A ${chain} -j MASQUERADE`];
  const foreign = [
    `-A POSTROUTING -m comment --comment "like -j ${chain}" -j OTHER`,
    `-A POSTROUTING -m comment --comment "ends with -j ${chain}"`,
    `-A POSTROUTING -s 10.0.0.2/32 -j OTHER`,
  ];

  test.each([
    ['nothing of it is there', listing(':OTHER - [0:0]', ...foreign), [], undefined],
    ['another chain begins alike', listing(`:${chain}0 - [0:0]`), [], undefined],
    ['a chain alone', listing(`:${chain} - [0:0]`), [], [`-F ${chain}`, `-X ${chain}`]],
    [
      'chain, rules and ways',
      listing(`:${chain} - [0:0]`, ...foreign, jump('10.0.0.2/32'), jump('10.0.0.3/32'), ...rules),
      [],
      [
        ...['10.0.0.2/32', '10.0.0.3/32'].map((ip) => jump(ip).replace('-A', '-D')),
        `-F ${chain}`,
        `-X ${chain}`,
      ],
    ],
    [
      'only the way of an address that is not kept',
      listing(`:${chain} - [0:0]`, jump('10.0.0.2/32'), jump('10.0.0.3/32'), ...rules),
      ['10.0.0.3'],
      [jump('10.0.0.2/32').replace('-A', '-D')],
    ],
    [
      'nothing, when all addresses are kept',
      listing(`:${chain} - [0:0]`, jump('fd00::2/128'), ...rules),
      ['fd00::2'],
      undefined,
    ],
  ])('%s', (_name, saved, kept, lines) => {
    const text = removalOf(saved, [chain], new Set(kept.map(parseIP)));
    expect(text).toBe(lines && ['*nat', ...lines, 'COMMIT', ''].join('\n'));
  });
});

test.each([
  [`-A POSTROUTING -s 10.0.0.2/32 ${comment} -j ${chain}`, owner],
  ['-A POSTROUTING -m comment --comment "name: \\"net\\"" -j X', undefined],
  ['-A POSTROUTING -m comment --comment "dnat name: \\"net\\" id: \\"pod-1\\"" -j X', undefined],
  [`:${chain} - [0:0]`, undefined],
])('the owner in %s', (rule, want) => {
  expect(ownerOfRule(rule)).toEqual(want);
});
