/** Rules that nft and both iptables have made, read back and asked whether they drop packets of a pod. */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, expect, test } from 'vitest';
import { foreignDrops, type PodPlace } from '../../src/agent/foreign/drops.ts';
import { readFilterTables } from '../../src/agent/foreign/read-filter-tables.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { createNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';

const at = createNetns('drops');
const netns = netnses.open(at.path);
/** Tables of the older iptables stay with the namespace once they are there. */
const legacy = createNetns('drops-old');
const legacyNetns = netnses.open(legacy.path);

afterEach(() => at.run('nft', 'flush', 'ruleset'));
afterAll(() => {
  for (const each of [netns, legacyNetns]) each.close();
  for (const each of [at, legacy]) each.remove();
});

const POD: PodPlace = {
  name: 'pod default/web',
  networks: ['10.244.1.7/32', 'fd00:244:1::7/128'].map(parseCidr),
  links: ['cni0'],
  uplinks: ['eth0'],
};

async function told(tables = readFilterTables({ netns })): Promise<readonly string[]> {
  return foreignDrops(await tables, [POD]).map(
    ({ family, table, chain, what, direction, isWhole, cure }) =>
      `${family} ${direction} ${isWhole ? 'all' : 'some'}: ${table} ${chain} ${what.replace(/\d+$/, 'N')} | ${cure}`,
  );
}

const LEAVE = 'delete it, or have its owner leave pods out';
const CHAIN = 'chain c { type filter hook forward priority 0;';

test.each<{ name: string; ruleset: string; want: readonly string[] }>([
  { name: 'nothing', ruleset: `table inet a { ${CHAIN} }; }`, want: [] },
  {
    name: 'a policy',
    ruleset: `table ip a { ${CHAIN} policy drop; }; }`,
    want: [
      "4 from all: table ip a c the policy drop | nft chain ip a c '{ policy accept; }', or have its rules accept pods",
    ],
  },
  {
    name: 'a policy behind what accepts answers only',
    ruleset: `table ip6 a { ${CHAIN} policy drop; ct state established,related accept; ct status dnat accept; }; }`,
    want: [
      "6 from all: table ip6 a c the policy drop | nft chain ip6 a c '{ policy accept; }', or have its rules accept pods",
    ],
  },
  {
    name: 'a policy behind what accepts pods',
    ruleset: `table ip a { ${CHAIN} policy drop; ip saddr 10.244.0.0/16 accept; ip daddr 10.244.0.0/16 accept; }; }`,
    want: [],
  },
  {
    name: 'a policy behind a map that may accept',
    ruleset: `table ip a { ${CHAIN} policy drop; iifname vmap { "cni0" : accept, "eth0" : accept }; }; }`,
    want: [],
  },
  {
    name: 'a policy behind a set that may have the pods',
    ruleset: `table ip a { ${CHAIN} policy drop; ip saddr { 10.244.1.7, 10.244.1.8 } accept; ip daddr { 10.244.1.7 } accept; }; }`,
    want: [],
  },
  {
    name: 'a reject at the end',
    ruleset: `table inet a { ${CHAIN} iifname "docker0" accept; reject; }; }`,
    want: [`4 from all: table inet a c the rule with handle N | ${LEAVE}`],
  },
  {
    name: 'answers of a pod',
    ruleset: `table ip a { ${CHAIN} ip saddr 10.244.1.7 tcp sport 8080 drop; }; }`,
    want: [`4 from some: table ip a c the rule with handle N | ${LEAVE}`],
  },
  {
    name: 'what is sent to pods by one link',
    ruleset: `table ip a { ${CHAIN} iifname "eth0" ip daddr 10.244.0.0/16 drop; }; }`,
    want: [`4 to all: table ip a c the rule with handle N | ${LEAVE}`],
  },
  {
    name: 'drops that are meant',
    ruleset:
      `table inet a { ${CHAIN} ct state invalid drop; tcp dport 25 drop; ip daddr 169.254.169.254 drop; ` +
      'ip saddr 192.168.0.0/16 drop; ip daddr 10.0.0.0/8 tcp dport 22 drop; iifname "wlan0" drop; }; ' +
      'chain p { type filter hook prerouting priority -300; fib saddr . iif oif missing drop; }; }',
    want: [],
  },
  {
    name: 'tables of ours',
    ruleset: `table inet weft-policy { ${CHAIN} policy drop; }; }`,
    want: [],
  },
])('nft: $name', async ({ ruleset, want }) => {
  at.run('nft', ruleset);
  expect(await told()).toEqual(want);
});

test('iptables-nft: a policy, and how the firewall plugin and docker go about it', async () => {
  at.run('iptables-nft', '-P', 'FORWARD', 'DROP');
  expect(await told()).toEqual([
    '4 from all: table ip filter FORWARD the policy drop | iptables -P FORWARD ACCEPT',
  ]);
  for (const rule of [
    '-i docker0 ! -o docker0 -j ACCEPT',
    '-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-m comment --comment ours -s 10.244.1.7/32 -j ACCEPT',
  ]) {
    at.run('iptables-nft', '-A', 'FORWARD', ...rule.split(' '));
  }
  expect(await told()).toEqual([
    '4 to some: table ip filter FORWARD the policy drop | iptables -P FORWARD ACCEPT',
  ]);
  at.run('iptables-nft', '-A', 'FORWARD', '-d', '10.244.1.7/32', '-j', 'ACCEPT');
  expect(await told()).toEqual([]);
});

test('the older iptables', async () => {
  legacy.run('iptables-legacy', '-P', 'FORWARD', 'DROP');
  const answers = ['-m', 'conntrack', '--ctstate', 'ESTABLISHED', '-j', 'ACCEPT'];
  legacy.run('iptables-legacy', '-A', 'FORWARD', ...answers);
  const inside = legacy.start('sleep', ['60']);
  const proc = `/proc/${inside.pid}/net`;
  const prefix = ['nsenter', `--net=${legacy.path}`] as const;
  await until('it is in the namespace', () =>
    readFileSync(`${proc}/ip_tables_names`, 'utf8').includes('filter'),
  );
  expect(await told(readFilterTables({ netns: legacyNetns, prefix, proc }))).toEqual([
    '4 from all: table filter of iptables-legacy FORWARD the policy drop | iptables-legacy -P FORWARD ACCEPT',
  ]);
});
