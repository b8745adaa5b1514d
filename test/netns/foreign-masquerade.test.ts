/** Rules that nft and the programs of iptables have made, read back and asked whom they masquerade. */
import { afterAll, afterEach, expect, test } from 'vitest';
import { foreignMasquerades, type PodTraffic } from '../../src/agent/fabric/foreign-masquerade.ts';
import { readNatTables } from '../../src/agent/fabric/read-nat-tables.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { createNetns } from '../support/netns.ts';

const at = createNetns('foreign');
const netns = netnses.open(at.path);
const inside = { netns, prefix: ['nsenter', `--net=${at.path}`] } as const;

afterEach(() => at.run('nft', 'flush', 'ruleset'));
afterAll(() => {
  netns.close();
  at.remove();
});

const TRAFFIC: PodTraffic = {
  podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'].map(parseCidr),
  clusterCIDRs: ['10.244.0.0/16', 'fd00:244::/32'].map(parseCidr),
  underlays: ['eth0'],
};

async function blamed(): Promise<readonly string[]> {
  return foreignMasquerades(await readNatTables(inside), TRAFFIC).map(
    ({ family, table, chain }) => `${family} ${table} ${chain}`,
  );
}

const CHAIN = 'chain c { type nat hook postrouting priority 100;';

test.each<{ name: string; ruleset: string; want: readonly string[] }>([
  {
    name: 'everything',
    ruleset: `table ip a { ${CHAIN} masquerade; }; }`,
    want: ['4 table ip a c'],
  },
  {
    name: 'both families',
    ruleset: `table inet a { ${CHAIN} oifname "eth0" counter masquerade fully-random; }; }`,
    want: ['4 table inet a c', '6 table inet a c'],
  },
  {
    name: 'one family of two',
    ruleset: `table inet a { ${CHAIN} ip6 saddr fd00::/8 masquerade; }; }`,
    want: ['6 table inet a c'],
  },
  {
    name: 'networks of every length',
    ruleset: `table ip a { ${CHAIN} ip saddr 10.128.0.0/9 masquerade; ip saddr 10.240.0.0/12 snat to 192.0.2.1; }; }`,
    want: ['4 table ip a c'],
  },
  {
    name: 'behind an exception',
    ruleset: `table ip a { ${CHAIN} ip daddr 10.244.0.0/16 accept; masquerade; }; }`,
    want: [],
  },
  {
    name: 'behind a jump',
    ruleset: `table ip a { chain m { ip daddr != 224.0.0.0/4 masquerade; }; ${CHAIN} ip saddr 10.244.1.7 jump m; }; }`,
    want: ['4 table ip a m'],
  },
  {
    name: 'with a mark',
    ruleset: `table ip a { ${CHAIN} meta mark & 0x4000 == 0x4000 masquerade; }; }`,
    want: [],
  },
  {
    name: 'behind a set',
    ruleset: `table ip a { ${CHAIN} ip daddr { 10.244.0.0/16, 10.96.0.0/12 } return; masquerade; }; }`,
    want: [],
  },
  {
    name: 'by other links and other families',
    ruleset: `table ip a { ${CHAIN} oifname "wlan0" masquerade; oifname "wl*" masquerade; }; }
      table ip6 b { ${CHAIN} ip6 saddr 2001:db8::/32 masquerade; }; }`,
    want: [],
  },
  {
    name: 'in tables of ours and of kube-proxy',
    ruleset: `table ip kube-proxy { ${CHAIN} masquerade; }; }; table inet weft-cni { ${CHAIN} masquerade; }; }`,
    want: [],
  },
])('nft: $name', async ({ ruleset, want }) => {
  at.run('nft', ruleset);
  expect(await blamed()).toEqual(want);
});

test('iptables-nft is asked by its program', async () => {
  at.run('iptables-nft', '-t', 'nat', '-A', 'POSTROUTING', '-s', '10.244.1.7', '-j', 'MASQUERADE');
  const mark = ['-m', 'mark', '!', '--mark', '0x4000/0x4000', '-j', 'RETURN'];
  at.run('ip6tables-nft', '-t', 'nat', '-A', 'POSTROUTING', ...mark);
  at.run('ip6tables-nft', '-t', 'nat', '-A', 'POSTROUTING', '-j', 'MASQUERADE');
  expect(await blamed()).toEqual(['4 table nat of iptables-nft POSTROUTING']);
});
