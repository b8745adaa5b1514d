/** What `nft list` prints of rulesets that the library made. UPDATE_GOLDEN=1 rewrites the files. */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import {
  ifnameBytes,
  ipBytes,
  portBytes,
  protocolBytes,
  u8Bytes,
  u32Bytes,
} from '../../src/nftables/bytes.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { jhash, numgenRandom } from '../../src/nftables/generators.ts';
import { HOOK_PRIORITY } from '../../src/nftables/hook-priorities.ts';
import type { Chain, Element, NamedSet, Table } from '../../src/nftables/model.ts';
import {
  arp,
  ct,
  ether,
  fib,
  icmp,
  icmpv6,
  ip,
  ip6,
  meta,
  type PayloadSelector,
  type Selector,
  tcp as tcpHeader,
  th,
} from '../../src/nftables/selectors.ts';
import {
  accept,
  counter,
  dnat,
  dnatToMap,
  drop,
  goTo,
  jump,
  limit,
  lookup,
  masquerade,
  match,
  matchBits,
  matchCidr,
  notrack,
  reject,
  returnVerdict,
  type Statement,
  setMark,
  updateSet,
  verdictMap,
} from '../../src/nftables/statements.ts';
import { Transaction } from '../../src/nftables/transaction.ts';
import { createNetns } from '../support/netns.ts';

const netns = createNetns('golden');
const fd = openSync(netns.path, 'r');
const connection = NftablesConnection.open({ netns: { fd } });
afterAll(() => {
  connection.close();
  closeSync(fd);
  netns.remove();
});

interface Content {
  readonly table: Table;
  readonly sets?: readonly NamedSet[];
  readonly chains?: readonly Chain[];
  readonly elements?: readonly (readonly [set: NamedSet, elements: readonly Element[]])[];
}

function expectGolden(file: string, ...contents: Content[]): void {
  for (const { table, sets = [], chains = [], elements = [] } of contents) {
    const transaction = new Transaction(table).addTable();
    for (const set of sets) transaction.addSet(set);
    for (const chain of chains) transaction.addChain({ ...chain, rules: [] });
    for (const { name, rules } of chains) {
      for (const rule of rules) transaction.addRule(name, rule);
    }
    for (const [set, list] of elements) transaction.addElements(set, list);
    connection.commit(transaction);
  }
  const listings = contents.map(({ table }) =>
    netns.run('nft', 'list', 'table', table.family, table.name),
  );
  const path = new URL(`../golden/nftables/${file}`, import.meta.url);
  const text = stable(listings.join('\n'));
  if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(path, text);
  expect(text).toBe(readFileSync(path, 'utf8'));
}

/** Elements of hash tables come in any order, and time passes. */
function stable(listing: string): string {
  return listing
    .replaceAll(/elements = \{([^}]*)\}/g, (_, list: string) => {
      const elements = list.split(',').map((element) => element.trim());
      return `elements = { ${elements.toSorted().join(',\n\t\t\t     ')} }`;
    })
    .replaceAll(/ expires [0-9a-z]+/g, ' expires SOON');
}

const a = (text: string) => ipBytes(parseIP(text));
const tcp = protocolBytes('tcp');
const rule = (...statements: Statement[]) => ({ statements });

test('statements in an ip table', () => {
  const table: Table = { family: 'ip', name: 'statements', comment: 'every statement once' };
  const sources: NamedSet = { name: 'sources', key: [ip.saddr] };
  const recent: NamedSet = {
    name: 'recent',
    key: [ip.saddr],
    isDynamic: true,
    hasTimeout: true,
    timeoutMs: 10_000,
    size: 100,
  };
  const slots: NamedSet = {
    name: 'slots',
    key: [ip.saddr, ip.daddr, meta.l4proto, th.dport],
    data: [meta.mark],
    isDynamic: true,
    hasTimeout: true,
    size: 100,
  };
  const nat: Chain = {
    name: 'prerouting',
    base: { type: 'nat', hook: 'prerouting', priority: -100 },
    comment: 'base chain',
    rules: [
      { ...rule(match(meta.l4proto, '==', tcp), dnat(parseIP('10.0.0.1'), 8080)), comment: 'DNAT' },
      rule(dnat(parseIP('10.0.0.1'))),
    ],
  };
  const filter: Chain = {
    name: 'forward',
    base: { type: 'filter', hook: 'forward', priority: 0, policy: 'drop' },
    rules: [
      rule(matchCidr(ip.saddr, '!=', parseCidr('10.0.0.0/8')), accept),
      rule(matchCidr(ip.saddr, '==', parseCidr('10.128.0.0/9')), drop),
      rule(matchCidr(ip.daddr, '==', parseCidr('172.30.0.1/32')), returnVerdict),
      rule(match(ip.daddr, '!=', a('172.30.0.1')), jump('other')),
      rule(matchBits(ct.state, 0x8, '!=', 0), counter(), goTo('other')),
      rule(matchBits(ct.state, 0x6, '!=', 0), accept),
      rule(matchBits(ct.status, 0x20, '!=', 0), accept),
      rule(match(ct.originalDaddr4, '==', a('172.30.0.1')), accept),
      rule(matchCidr(ct.originalSaddr4, '==', parseCidr('10.0.0.0/16')), accept),
      rule(match(meta.l4proto, '==', tcp), match(ct.originalDport, '==', portBytes(80)), accept),
      rule(match(meta.l4proto, '==', tcp), match(th.sport, '==', portBytes(53)), accept),
      rule(match(meta.iifname, '==', ifnameBytes('cni0')), match(meta.oifname, '!=', 'veth'), drop),
      rule(match(fib.daddrType, '==', u32Bytes(2)), accept),
      rule(match(fib.saddrType, '!=', u32Bytes(2)), accept),
      rule(match(numgenRandom(4, 3), '==', u32Bytes(4)), accept),
      rule(match(numgenRandom(4), '==', u32Bytes(1)), accept),
      rule(match(jhash([ip.saddr, ip.daddr], 4, { seed: 7 }), '==', u32Bytes(1)), accept),
      rule(match(meta.mark, '==', u32Bytes(0x4000)), accept),
      rule(matchBits(meta.mark, 0x4000, '==', 0x4000), setMark({ mask: 0xffffffff, xor: 0x4000 })),
      rule(setMark({ mask: ~0x4000, xor: 0x4000 })),
      rule(setMark({ mask: 0, xor: 0x4000 })),
      rule(lookup([ip.saddr], 'sources'), accept),
      rule(lookup([ip.saddr], 'sources', { isNegated: true }), reject()),
      rule(match(meta.l4proto, '==', tcp), reject('tcp-reset')),
      rule(updateSet([ip.saddr], 'recent', { timeoutMs: 5000 }), accept),
      rule(updateSet([ip.saddr], 'recent')),
      rule(updateSet([ip.saddr], 'recent', { over: { perSecond: 50, burst: 20 } }), drop),
      rule(limit({ perSecond: 100, burst: 5 }), accept),
      rule(limit({ perSecond: 1_000, burst: 2_000 }, { isOver: true }), drop),
      rule(updateSet(slots.key, 'slots', { data: [numgenRandom(4)], timeoutMs: 60_000 })),
    ],
  };
  const postrouting: Chain = {
    name: 'postrouting',
    base: { type: 'nat', hook: 'postrouting', priority: 100 },
    rules: [
      rule(masquerade({ isFullyRandom: true })),
      rule(masquerade()),
      rule(
        match(meta.l4proto, '==', protocolBytes('udp')),
        masquerade({ isFullyRandom: true, ports: { first: 10_000, last: 65_535 } }),
      ),
    ],
  };
  const raw: Chain = {
    name: 'raw',
    base: { type: 'filter', hook: 'prerouting', priority: HOOK_PRIORITY.raw },
    rules: [rule(match(meta.l4proto, '==', tcp), counter(), notrack)],
  };
  const other: Chain = { name: 'other', comment: 'regular chain', rules: [rule(reject())] };
  expectGolden('statements-ip.nft', {
    table,
    sets: [sources, recent, slots],
    chains: [other, nat, filter, postrouting, raw],
  });
});

test('statements in ip6 and inet tables', () => {
  const key = [ip6.saddr];
  const chains6: Chain[] = [
    {
      name: 'forward',
      base: { type: 'filter', hook: 'forward', priority: -5, policy: 'accept' },
      rules: [
        rule(matchCidr(ip6.saddr, '!=', parseCidr('fd00:10::/64')), drop),
        rule(matchCidr(ip6.daddr, '==', parseCidr('fd00:10::/61')), drop),
        rule(match(ct.originalDaddr6, '==', a('fd00:172:30::1')), accept),
        rule(match(ct.originalSaddr6, '==', a('fd00:10::1')), accept),
        rule(lookup(key, 'sources'), reject()),
      ],
    },
    {
      name: 'output',
      base: { type: 'nat', hook: 'output', priority: -100 },
      rules: [rule(match(meta.l4proto, '==', tcp), dnat(parseIP('fd00:10::1'), 80))],
    },
  ];
  const inet: Chain = {
    name: 'input',
    base: { type: 'filter', hook: 'input', priority: 0 },
    rules: [
      rule(reject()),
      rule(
        match(meta.nfproto, '==', u8Bytes(2)),
        match(ip.saddr, '==', a('203.0.113.1')),
        reject(),
      ),
      rule(match(meta.nfproto, '==', u8Bytes(10)), match(ip6.saddr, '==', a('2001:db8::1')), drop),
    ],
  };
  expectGolden(
    'statements-ip6-inet.nft',
    {
      table: { family: 'ip6', name: 'statements' },
      sets: [{ name: 'sources', key }],
      chains: chains6,
    },
    { table: { family: 'inet', name: 'statements' }, chains: [inet] },
  );
});

test('kinds of sets', () => {
  const table: Table = { family: 'ip', name: 'kinds' };
  const plain: NamedSet = { name: 'plain', key: [ip.daddr], comment: 'one field' };
  const counted: NamedSet = { name: 'counted', key: [meta.l4proto, th.dport], hasCounters: true };
  const timed: NamedSet = {
    name: 'timed',
    key: [ip.saddr],
    hasTimeout: true,
    timeoutMs: 3_600_000,
  };
  const sized: NamedSet = { name: 'sized', key: [th.dport], size: 10 };
  const ranges: NamedSet = { name: 'ranges', key: [ip.saddr], isInterval: true };
  const portRanges: NamedSet = {
    name: 'port-ranges',
    key: [th.dport],
    data: [meta.mark],
    isInterval: true,
  };
  const pairs: NamedSet = { name: 'range-pairs', key: [ip.saddr, th.dport], isInterval: true };
  const links: NamedSet = { name: 'links', key: [meta.iifname, meta.oifname] };
  const states: NamedSet = { name: 'states', key: [fib.daddrType, ct.state] };
  const marks: NamedSet = { name: 'marks', key: [meta.mark], data: [ip.daddr] };
  const verdicts: NamedSet = {
    name: 'verdicts',
    key: [ip.daddr, meta.l4proto, th.dport],
    data: 'verdict',
  };
  const originals: NamedSet = { name: 'originals', key: [ct.originalDaddr4, ct.originalDport] };
  const hashed: NamedSet = { name: 'hashed', key: [ip.daddr, jhash([ip.saddr], 16, { seed: 1 })] };
  const service = (last: number) => a(`172.30.0.${last}`) + tcp + portBytes(443);
  expectGolden('sets.nft', {
    table,
    sets: [
      plain,
      counted,
      timed,
      sized,
      ranges,
      portRanges,
      pairs,
      links,
      states,
      marks,
      verdicts,
      originals,
      hashed,
    ],
    chains: [{ name: 'n1', rules: [] }],
    elements: [
      [plain, [{ key: a('10.0.0.1') }, { key: a('10.0.0.2'), comment: 'second' }]],
      [counted, [{ key: protocolBytes('sctp') + portBytes(80) }]],
      [timed, [{ key: a('10.0.0.1'), timeoutMs: 600_000 }, { key: a('10.0.0.2') }]],
      [sized, [{ key: portBytes(80) }]],
      [
        ranges,
        [
          { key: a('10.0.0.0'), keyEnd: a('10.255.255.255') },
          { key: a('11.0.0.0'), keyEnd: a('11.0.0.6') },
          { key: a('192.168.0.1'), comment: 'node' },
          { key: a('240.0.0.0'), keyEnd: a('255.255.255.255') },
        ],
      ],
      [portRanges, [{ key: portBytes(30_000), keyEnd: portBytes(32_767), data: u32Bytes(0x4000) }]],
      [
        pairs,
        [
          { key: a('10.0.0.0') + portBytes(80), keyEnd: a('10.255.255.255') + portBytes(90) },
          { key: a('11.0.0.1') + portBytes(80) },
        ],
      ],
      [links, [{ key: ifnameBytes('cni0') + ifnameBytes('eth0') }]],
      [states, [{ key: u32Bytes(2) + u32Bytes(8) }]],
      [marks, [{ key: u32Bytes(0x4000), data: a('10.0.0.1') }]],
      [
        verdicts,
        [
          { key: service(1), data: 'goto n1' },
          { key: service(2), data: 'jump n1' },
          { key: service(3), data: 'drop', comment: 'default/web:https' },
          { key: service(4), data: 'accept' },
          { key: service(5), data: 'return' },
        ],
      ],
      [originals, [{ key: a('172.30.0.1') + portBytes(80) }]],
      [hashed, [{ key: a('172.30.0.1') + u32Bytes(3) }]],
    ],
  });
});

test('the flat layout of a Service proxy', () => {
  const layout = (family: 'ip' | 'ip6', daddr: Selector, service: string, pod: string): Content => {
    const key = [daddr, meta.l4proto, th.dport];
    const services: NamedSet = { name: 'service-ips', key, data: 'verdict', hasCounters: true };
    const endpoints: NamedSet = {
      name: 'endpoints',
      key: [...key, numgenRandom(65_536)],
      data: [daddr, th.dport],
      hasCounters: true,
      comment: 'by slot',
    };
    const vip = a(service) + tcp + portBytes(443);
    return {
      table: { family, name: 'weft-proxy' },
      sets: [services, endpoints],
      chains: [
        { name: 'n2', rules: [rule(dnatToMap(family, [...key, numgenRandom(2)], 'endpoints'))] },
        {
          name: 'h2',
          rules: [rule(dnatToMap(family, [...key, jhash([daddr], 2, { seed: 9 })], 'endpoints'))],
        },
        {
          name: 'prerouting',
          base: { type: 'nat', hook: 'prerouting', priority: -100 },
          rules: [rule(verdictMap(key, 'service-ips'))],
        },
      ],
      elements: [
        [services, [{ key: vip, data: 'goto n2' }]],
        [
          endpoints,
          [0, 1].map((slot) => ({
            key: vip + u32Bytes(slot),
            data: a(`${pod}${slot + 1}`) + portBytes(6443),
          })),
        ],
      ],
    };
  };
  expectGolden(
    'proxy.nft',
    layout('ip', ip.daddr, '172.30.0.1', '10.0.0.'),
    layout('ip6', ip6.daddr, 'fd00:172:30::1', 'fd00:10::'),
  );
});

/** One that nft 1.0.6 has no name for cannot be in a key that it shows. */
const NAMED = [ip, ip6, th, tcpHeader, icmp, icmpv6, ether, arp]
  .flatMap((fields): PayloadSelector[] => Object.values(fields))
  .filter(({ text }) => !text.startsWith('@'));

test.each(NAMED)('nft shows a set of $text as one', (selector) => {
  const table: Table = { family: 'bridge', name: 'weft-keys' };
  const set: NamedSet = { name: 'keys', key: [selector] };
  connection.commit(new Transaction(table).addTable().addSet(set));
  try {
    const listed = netns.run('nft', 'list', 'set', 'bridge', table.name, set.name);
    expect(/typeof (.*)/.exec(listed)?.[1]).toBe(selector.text);
  } finally {
    connection.commit(new Transaction(table).deleteTable());
  }
});
