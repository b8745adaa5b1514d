import { describe, expect, test } from 'vitest';
import {
  ContentMaker,
  contentDifference,
  contentUnion,
  tableContent,
} from '../../../../src/fabric/table/content.ts';
import { tableDefinition } from '../../../../src/fabric/table/definition.ts';
import type { FabricTableFacts } from '../../../../src/fabric/table/facts.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { definitionDigest } from '../../../../src/nftables/digest.ts';
import { elementText } from '../../../../src/nftables/text.ts';

const FACTS: FabricTableFacts = {
  tunnel: {
    port: 8472,
    peers: ['192.0.2.2', '2001:db8::2', '192.0.2.2'].map(parseIP),
    own: ['192.0.2.1', '2001:db8::1'].map(parseIP),
  },
  podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'].map(parseCidr),
  podLinks: ['cni0', 'cni0'],
  masquerade: {
    direct: ['10.244.0.0/16', '10.244.2.0/24', 'fd00:244::/32'].map(parseCidr),
    families: [4, 6],
  },
};
const OWN = FACTS.tunnel?.own ?? [];
const NOTHING: FabricTableFacts = { tunnel: undefined, podCIDRs: [], masquerade: undefined };

/** Element texts by set, sets without any left out. */
function texts(facts: FabricTableFacts): Record<string, readonly string[]> {
  const { sets } = tableDefinition(facts.tunnel?.port);
  const content = tableContent(facts);
  return Object.fromEntries(
    sets.flatMap((set) => {
      const elements = content.get(set.name) ?? [];
      return elements.length === 0
        ? []
        : [[set.name, elements.map((element) => elementText(set, element))]];
    }),
  );
}

test('every fact is an element, once', () => {
  expect(texts(FACTS)).toEqual({
    'own-ip': ['192.0.2.1'],
    'own-ip6': ['2001:db8::1'],
    'tunnel-ports': ['8472'],
    'pod-links': ['cni0'],
    'peers-ip': ['192.0.2.2'],
    'peers-ip6': ['2001:db8::2'],
    'pods-ip': ['10.244.1.0-10.244.1.255'],
    'pods-ip6': ['fd00:244:1::-fd00:244:1:0:ffff:ffff:ffff:ffff'],
    'masqueraded-ip': ['10.244.1.0-10.244.1.255'],
    'masqueraded-ip6': ['fd00:244:1::-fd00:244:1:0:ffff:ffff:ffff:ffff'],
    'direct-ip': ['10.244.0.0-10.244.255.255', '224.0.0.0-239.255.255.255'],
    'direct-ip6': [
      'fd00:244::-fd00:244:ffff:ffff:ffff:ffff:ffff:ffff',
      'fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
      'ff00::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    ],
  });
});

test('without tunnel and masquerade there is nothing', () => {
  expect(texts(NOTHING)).toEqual({});
});

test('a family that is not masqueraded keeps its guards', () => {
  const of = texts({ ...FACTS, masquerade: { direct: [], families: [4] } });
  expect(of['pods-ip6']).toBeDefined();
  expect(of['masqueraded-ip6']).toBeUndefined();
});

describe('differences', () => {
  const between = (from: FabricTableFacts, to: FabricTableFacts) =>
    contentDifference(tableContent(from), tableContent(to));

  test('none between equal facts', () => {
    expect(between(FACTS, { ...FACTS })).toEqual([]);
  });

  test('a peer is one element', () => {
    const peers = [...(FACTS.tunnel?.peers ?? []), parseIP('192.0.2.3')];
    const [change, ...more] = between(FACTS, { ...FACTS, tunnel: { port: 8472, peers, own: OWN } });
    expect(more).toEqual([]);
    expect(change).toEqual({ set: 'peers-ip', remove: [], add: [{ key: '\xc0\x00\x02\x03' }] });
  });

  test('a network that grows is taken out before it comes', () => {
    const masquerade = {
      direct: ['10.0.0.0/8', 'fd00:244::/32'].map(parseCidr),
      families: [4, 6] as const,
    };
    const change = between(FACTS, { ...FACTS, masquerade });
    expect(change.map(({ set, remove, add }) => [set, remove.length, add.length])).toEqual([
      ['direct-ip', 1, 1],
    ]);
  });
});

test('what is in either, without what lies in something else', () => {
  const masquerade = {
    direct: ['10.0.0.0/8', 'fd00:245::/32'].map(parseCidr),
    families: [4] as const,
  };
  const peers = ['192.0.2.2', '192.0.2.9'].map(parseIP);
  const other: FabricTableFacts = { ...FACTS, tunnel: { port: 4789, peers, own: OWN }, masquerade };
  const union = contentUnion(tableContent(FACTS), tableContent(other));
  const texts = (name: string) => {
    const set = tableDefinition(8472).sets.find((each) => each.name === name);
    return set && union.get(name)?.map((element) => elementText(set, element));
  };
  expect(texts('tunnel-ports')).toEqual(['4789', '8472']);
  expect(texts('peers-ip')).toEqual(['192.0.2.2', '192.0.2.9']);
  expect(texts('peers-ip6')).toEqual(['2001:db8::2']);
  expect(texts('direct-ip')?.[0]).toBe('10.0.0.0-10.255.255.255');
  expect(texts('direct-ip6')?.slice(0, 2)).toEqual([
    'fd00:244::-fd00:244:ffff:ffff:ffff:ffff:ffff:ffff',
    'fd00:245::-fd00:245:ffff:ffff:ffff:ffff:ffff:ffff',
  ]);
  expect(texts('masqueraded-ip6')).toHaveLength(1);
});

test('5,000 nodes of two families: one more is an element each, the others are as they were', () => {
  const numbers = Array.from({ length: 5_000 }, (_, i) => i);
  const direct = numbers.flatMap((i) =>
    [`10.${i >> 8}.${i & 255}.0/24`, `fd00:${i.toString(16)}::/64`].map(parseCidr),
  );
  const peers = numbers.map((i) => parseIP(`192.0.${i >> 8}.${i & 255}`));
  const facts = (count: number): FabricTableFacts => ({
    ...FACTS,
    tunnel: { port: 8472, peers: peers.slice(0, count), own: OWN },
    masquerade: { direct: direct.slice(0, 2 * count), families: [4, 6] },
  });
  const maker = new ContentMaker();
  const before = maker.make(facts(4_999));
  const same = maker.make(facts(4_999));
  expect(contentDifference(before, same)).toEqual([]);
  for (const [set, elements] of same) expect(elements).toBe(before.get(set));
  const after = maker.make(facts(5_000));
  // Nothing goes: what is in either is what is wanted, and the look after that compares nothing.
  for (const [set, elements] of contentUnion(before, after)) expect(elements).toBe(after.get(set));
  const change = contentDifference(before, after);
  expect(change.map(({ set, remove, add }) => [set, remove.length, add.length])).toEqual([
    ['peers-ip', 0, 1],
    ['direct-ip', 0, 1],
    ['direct-ip6', 0, 1],
  ]);
});

test('the definition is the same for every tunnel port below the masqueraded ones', () => {
  const digest = (port: number | undefined) => definitionDigest(tableDefinition(port));
  expect(digest(8472)).toBe(digest(undefined));
  expect(digest(4789)).toBe(digest(undefined));
  expect(digest(14_789)).not.toBe(digest(undefined));
});
