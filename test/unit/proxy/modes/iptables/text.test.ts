import { describe, expect, test } from 'vitest';
import { parseListing, targetOf } from '../../../../../src/iptables/listing.ts';
import type { RulesChange } from '../../../../../src/iptables/model.ts';
import { restoreText } from '../../../../../src/iptables/restore-text.ts';
import { ruleKey } from '../../../../../src/iptables/rule-key.ts';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import {
  endpointChain,
  isOwnChain,
  isServiceChain,
  serviceChain,
} from '../../../../../src/proxy/modes/iptables/chain-names.ts';
import { partsOf } from '../../../../../src/proxy/modes/iptables/parts.ts';
import {
  negated,
  podSources,
  ruleText,
} from '../../../../../src/proxy/modes/iptables/rule-text.ts';
import { chooseVariant } from '../../../../../src/proxy/modes/iptables/variant.ts';
import { parseService } from '../../../../../src/proxy/service.ts';
import { service } from '../../../../support/proxy-objects.ts';

describe('chain names', () => {
  const [port] =
    parseService(
      {
        ...service('svc1', '172.30.0.41', { ports: [{ name: 'p80', protocol: 'TCP', port: 80 }] }),
        metadata: { name: 'svc1', namespace: 'ns1' },
      },
      4,
    )?.ports ?? [];
  if (port === undefined) throw new Error('no port');

  test('are those that kube-proxy gives', () => {
    expect(serviceChain('SVC', port)).toBe('KUBE-SVC-XPGD46QRK7WJZT7O');
    expect(endpointChain(port, '10.180.0.1:80')).toBe('KUBE-SEP-SXIVWICOYRO3J4NJ');
  });

  test('differ by protocol and fit in 28 characters', () => {
    const names = (['tcp', 'udp', 'sctp'] as const).map((protocol) =>
      serviceChain('EXT', { ...port, protocol, name: `${'n'.repeat(63)}/${'s'.repeat(63)}` }),
    );
    expect(new Set(names).size).toBe(3);
    expect(Math.max(...names.map(({ length }) => length))).toBeLessThanOrEqual(28);
  });

  test.each([
    ['KUBE-SVC-XPGD46QRK7WJZT7O', true],
    ['KUBE-XLB-XPGD46QRK7WJZT7O', true],
    ['KUBE-SVC-XPGD46QRK7WJZT7', false],
    ['KUBE-SVC-xpgd46qrk7wjzt7o', false],
    ['KUBE-NWPLCY-XPGD46QRK7WJZT7O', false],
    ['KUBE-POD-FW-XPGD46QRK7WJZT7O', false],
    ['CNI-DN-XPGD46QRK7WJZT7O', false],
  ])('%s comes with a ServicePort: %s', (name, want) => {
    expect(isServiceChain(name)).toBe(want);
  });

  test.each([
    ['filter', 'KUBE-FIREWALL', false],
    ['filter', 'KUBE-FORWARD', true],
    ['nat', 'KUBE-FORWARD', false],
    ['nat', 'KUBE-MARK-DROP', false],
    ['nat', 'KUBE-MARK-MASQ', true],
    ['mangle', 'KUBE-PROXY-CANARY', true],
    ['mangle', 'KUBE-KUBELET-CANARY', false],
    ['mangle', 'KUBE-IPTABLES-HINT', false],
  ] as const)('%s %s is ours: %s', (table, name, want) => {
    expect(isOwnChain(table, name)).toBe(want);
  });
});

describe('rule text', () => {
  test.each([
    ['a name', 'ns/web:http', '"ns/web:http"'],
    ['a quote', 'a" -j ACCEPT', '"a? -j ACCEPT"'],
    ['a new line', 'a\nCOMMIT\n*raw', '"a?COMMIT??raw"'],
    ['a backslash', 'a\\', '"a?"'],
    ['other writing', 'größe', '"gr??e"'],
    ['too much', 'n'.repeat(300), `"${'n'.repeat(255)}"`],
  ])('a comment with %s', (_, comment, want) => {
    expect(ruleText({ comment })).toBe(`-m comment --comment ${want}`);
  });

  test.each([
    [{ kind: 'cidrs', cidrs: [parseCidr('10.0.0.0/8')] }, '-s 10.0.0.0/8', '! -s 10.0.0.0/8'],
    [{ kind: 'bridge', name: 'br0' }, '-i br0', '! -i br0'],
    [{ kind: 'bridge', name: 'a"b' }, '-i "a\\"b"', '! -i "a\\"b"'],
    [{ kind: 'interfacePrefix', prefix: 'cali' }, '-i cali+', '! -i cali+'],
  ] as const)('pods by %o', (detector, want, wantNegated) => {
    const [pods = {}] = podSources(detector);
    expect(ruleText(pods)).toBe(want);
    expect(ruleText(negated(pods))).toBe(wantNegated);
  });
});

describe('rule keys', () => {
  const same = [
    [
      'comments and modules',
      '-d 172.30.0.1/32 -p tcp -m comment --comment "a \\"b\\" c" -m tcp --dport 80 -j X',
      '-p tcp -d 172.30.0.1/32 -m tcp --dport 80 -j X',
    ],
    [
      'digits of probabilities',
      '-m statistic --mode random --probability 0.3333333333 -j X',
      '-m statistic --mode random --probability 0.33333333349 -j X',
    ],
    [
      'what nobody asked for',
      '-m recent --set --name X --mask 255.255.255.255 --rsource -m tcp -j Y',
      '-m recent --set --name X -j Y',
    ],
  ] as const;
  test.each(same)('are the same but for %s', (_, left, right) => {
    expect(ruleKey(left)).toBe(ruleKey(right));
  });

  const rules = [
    '-s 10.0.0.0/8 -j X',
    '! -s 10.0.0.0/8 -j X',
    '-d 10.0.0.0/8 -j X',
    '-s 10.0.0.0/8 -j Y',
    '-s 10.0.0.0/8 ! -d 10.0.0.0/8 -j X',
    '! -s 10.0.0.0/8 -d 10.0.0.0/8 -j X',
    '-m statistic --mode random --probability 0.5000000000 -j X',
    '-m statistic --mode random --probability 0.2500000000 -j X',
    '-m recent --rcheck --seconds 10 --reap --name A -j X',
    '-m recent --rcheck --seconds 20 --reap --name A -j X',
    '-m mark --mark 0x4000/0x4000 -j ACCEPT',
    '-m mark --mark 0x8000/0x8000 -j ACCEPT',
  ];
  test('tell rules apart that do other things', () => {
    expect(new Set(rules.map(ruleKey)).size).toBe(rules.length);
  });
});

describe('listings', () => {
  const listing = parseListing(
    [
      '# Generated by iptables-nft-save',
      '*raw',
      ':PREROUTING ACCEPT [0:0]',
      '-A PREROUTING -j ACCEPT',
      '*nat',
      ':OUTPUT ACCEPT [3:180]',
      ':KUBE-SERVICES - [0:0]',
      '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      '-A KUBE-SERVICES',
      'COMMIT',
      '',
    ].join('\n'),
  );

  test('give chains with their rules, by table', () => {
    expect(Object.fromEntries(listing.nat)).toEqual({
      OUTPUT: ['-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'],
      'KUBE-SERVICES': [''],
    });
    expect(listing.filter.size).toBe(0);
  });

  test.each([
    ['-s 10.0.0.1/32 -j KUBE-MARK-MASQ', 'KUBE-MARK-MASQ'],
    ['-m comment --comment "a -j B" -g C', 'C'],
    ['-m comment --comment "only words"', ''],
    ['-j DNAT --to-destination 10.0.0.1:80', 'DNAT'],
  ])('%s leads to "%s"', (rule, want) => {
    expect(targetOf(rule)).toBe(want);
  });
});

describe('restore text', () => {
  test('keeps the order of rules and removes last', () => {
    const guest = (rule: string, position: 'first' | 'last') =>
      ({ table: 'filter', chain: 'INPUT', rule, position }) as const;
    const text = restoreText({
      chains: [
        { table: 'nat', name: 'A', rules: ['-j B'] },
        { table: 'filter', name: 'C', rules: [] },
      ],
      newChains: [{ table: 'filter', name: 'KUBE-FIREWALL' }],
      guests: [guest('-j ONE', 'first'), guest('-j TWO', 'first'), guest('-j END', 'last')],
      removedGuests: [guest('-j OLD', 'first')],
      removedChains: [{ table: 'nat', name: 'Z' }],
    });
    expect(text.split('\n')).toEqual([
      ...['*filter', ':KUBE-FIREWALL - [0:0]', ':C - [0:0]', '-D INPUT -j OLD'],
      ...['-I INPUT -j TWO', '-I INPUT -j ONE', '-A INPUT -j END', 'COMMIT'],
      ...['*nat', ':A - [0:0]', ':Z - [0:0]', '-A A -j B', '-X Z', 'COMMIT', ''],
    ]);
  });

  test('is empty for nothing', () => {
    expect(restoreText({ chains: [] })).toBe('');
  });
});

describe('variant', () => {
  const rules = (count: number) => '-A INPUT -j ACCEPT\n'.repeat(count);
  test.each([
    ['nothing anywhere', { nft: '', legacy: '' }, 'nft'],
    ['the kubelet in nft', { nft: ':KUBE-IPTABLES-HINT - [0:0]\n', legacy: rules(9) }, 'nft'],
    [
      'the kubelet in legacy',
      { nft: rules(9), legacy: ':KUBE-KUBELET-CANARY - [0:0]\n' },
      'legacy',
    ],
    ['a proxy in legacy', { nft: rules(9), legacy: ':KUBE-SERVICES - [0:0]\n' }, 'legacy'],
    [
      'the kubelet before a proxy',
      { nft: ':KUBE-SERVICES - [0:0]\n', legacy: ':KUBE-KUBELET-CANARY - [0:0]\n' },
      'legacy',
    ],
    ['more rules in legacy', { nft: rules(1), legacy: rules(2) }, 'legacy'],
    ['as many in both', { nft: rules(2), legacy: rules(2) }, 'nft'],
    ['legacy alone', { legacy: '' }, 'legacy'],
    ['nft alone', { nft: '' }, 'nft'],
    ['none', {}, undefined],
  ] as const)('%s', (_, listings, want) => {
    const entries = Object.entries(listings) as ['nft' | 'legacy', string][]; // as spelled above
    expect(chooseVariant(new Map(entries))).toBe(want);
  });
});

describe('parts of a large change', () => {
  const chain = (name: string, table: 'nat' | 'filter' = 'nat') => ({ table, name, rules: [] });
  const names = ['FW', 'SVC', 'SEP', 'EXT'].flatMap((kind) =>
    [1, 2, 3].map((i) => `KUBE-${kind}-${i}`),
  );
  const namesOf = (change: RulesChange) => ({
    made: change.chains?.map(({ name }) => name) ?? [],
    removed: change.removedChains?.map(({ name }) => name) ?? [],
    guests: change.guests?.length ?? 0,
  });
  const jump = { table: 'nat', chain: 'OUTPUT', rule: '-j X', position: 'first' } as const;

  test('make a chain before those that lead to it', () => {
    const shared = [
      chain('KUBE-SERVICES'),
      chain('KUBE-SERVICES', 'filter'),
      chain('KUBE-MARK-MASQ'),
    ];
    const chains = [...shared, ...names.map((name) => chain(name))];
    expect(partsOf({ chains, guests: [jump] }, 4).map(namesOf)).toEqual([
      {
        made: ['KUBE-MARK-MASQ', 'KUBE-SEP-1', 'KUBE-SEP-2', 'KUBE-SEP-3'],
        removed: [],
        guests: 0,
      },
      { made: ['KUBE-SVC-1', 'KUBE-SVC-2', 'KUBE-SVC-3', 'KUBE-EXT-1'], removed: [], guests: 0 },
      { made: ['KUBE-EXT-2', 'KUBE-EXT-3', 'KUBE-FW-1', 'KUBE-FW-2'], removed: [], guests: 0 },
      { made: ['KUBE-FW-3', 'KUBE-SERVICES', 'KUBE-SERVICES'], removed: [], guests: 1 },
    ]);
  });

  test('remove a chain after those that lead to it', () => {
    const removedChains = names.map((name) => chain(name));
    expect(partsOf({ removedChains }, 6).map(namesOf)).toEqual([
      { made: [], removed: [], guests: 0 },
      ...[
        ['FW', 'EXT'],
        ['SVC', 'SEP'],
      ].map((kinds) => ({
        made: [],
        removed: kinds.flatMap((kind) => [3, 2, 1].map((i) => `KUBE-${kind}-${i}`)),
        guests: 0,
      })),
    ]);
  });

  test('are one for a small change', () => {
    const change = { chains: [chain('KUBE-SVC-1')] };
    expect(partsOf(change, 1)).toEqual([change]);
  });
});
