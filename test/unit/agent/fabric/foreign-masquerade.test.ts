import { expect, test } from 'vitest';
import {
  foreignMasquerades,
  foreignMasqueradeText,
  type PodTraffic,
} from '../../../../src/agent/fabric/foreign-masquerade.ts';
import { natTableOf } from '../../../../src/agent/fabric/iptables-nat.ts';
import { parseListing } from '../../../../src/iptables/listing.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';

const TRAFFIC: PodTraffic = {
  podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'].map(parseCidr),
  clusterCIDRs: ['10.244.0.0/16', 'fd00:244::/32'].map(parseCidr),
  underlays: ['eth0', 'weft-vxlan'],
};

/** As iptables-save prints table nat with these rules. */
function saved(...rules: readonly string[]): string {
  const chains = new Set(rules.map((rule) => rule.split(' ')[0]));
  return [
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [5:300]',
    ...[...chains].filter((name) => name !== 'POSTROUTING').map((name) => `:${name} - [0:0]`),
    ...rules.map((rule) => `-A ${rule}`),
    'COMMIT',
    '',
  ].join('\n');
}

function blamed(rules: readonly string[], traffic = TRAFFIC, family: 4 | 6 = 4): string[] {
  const table = natTableOf(parseListing(saved(...rules)).nat, 'iptables-legacy', family);
  return foreignMasquerades([table], traffic).map(({ rule }) =>
    rule.replace(/^rule "-A (.*)"$/, '$1'),
  );
}

test.each<{ name: string; rules: readonly string[]; want?: readonly string[] }>([
  { name: 'nothing', rules: [] },
  {
    name: 'docker',
    rules: [
      'POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
      'POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE',
    ],
  },
  {
    name: 'libvirt',
    rules: [
      'POSTROUTING -j LIBVIRT_PRT',
      'LIBVIRT_PRT -s 192.168.122.0/24 -d 224.0.0.0/24 -j RETURN',
      'LIBVIRT_PRT -s 192.168.122.0/24 ! -d 192.168.122.0/24 -p tcp -j MASQUERADE --to-ports 1024-65535',
    ],
  },
  {
    name: 'kube-proxy',
    rules: [
      'POSTROUTING -m comment --comment "kubernetes postrouting rules -j MASQUERADE" -j KUBE-POSTROUTING',
      'KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
      'KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
      'KUBE-POSTROUTING -m comment --comment "service traffic" -j MASQUERADE --random-fully',
    ],
  },
  {
    name: 'kube-proxy with IPVS',
    rules: [
      'POSTROUTING -j KUBE-POSTROUTING',
      'KUBE-POSTROUTING -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE',
      'KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
      'KUBE-POSTROUTING -j MASQUERADE',
    ],
  },
  {
    name: 'tailscale',
    rules: ['POSTROUTING -m mark --mark 0x40000/0xff0000 -j MASQUERADE'],
  },
  {
    name: 'host ports of the reference plugin',
    rules: [
      'POSTROUTING -j CNI-HOSTPORT-MASQ',
      'CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
    ],
  },
  {
    name: 'flannel of the same network',
    rules: [
      'POSTROUTING -j FLANNEL-POSTRTG',
      'FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN',
      'FLANNEL-POSTRTG -s 10.244.1.0/24 -d 10.244.0.0/16 -j RETURN',
      'FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully',
    ],
  },
  {
    name: 'flannel of another network',
    rules: [
      'POSTROUTING -j FLANNEL-POSTRTG',
      'FLANNEL-POSTRTG -s 10.244.1.0/24 -d 10.244.1.0/24 -j RETURN',
      'FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully',
    ],
    want: ['FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully'],
  },
  {
    name: 'ipMasq of the reference plugin',
    rules: [
      'POSTROUTING -s 10.244.1.7/32 -m comment --comment "name: \\"net\\" id: \\"a\\"" -j CNI-0a1b2c',
      'CNI-0a1b2c -d 10.244.1.0/24 -m comment --comment "x" -j ACCEPT',
      'CNI-0a1b2c ! -d 224.0.0.0/4 -m comment --comment "x" -j MASQUERADE',
    ],
    want: ['CNI-0a1b2c ! -d 224.0.0.0/4 -m comment --comment "x" -j MASQUERADE'],
  },
  {
    name: 'a gateway for everything',
    rules: ['POSTROUTING -o eth0 -j MASQUERADE'],
    want: ['POSTROUTING -o eth0 -j MASQUERADE'],
  },
  { name: 'a gateway by another link', rules: ['POSTROUTING -o wlan0 -j MASQUERADE'] },
  { name: 'links of another name', rules: ['POSTROUTING -o eth1+ -j MASQUERADE'] },
  {
    name: 'links of that name',
    rules: ['POSTROUTING -o eth+ -p udp -j SNAT --to-source 192.0.2.1'],
    want: ['POSTROUTING -o eth+ -p udp -j SNAT --to-source 192.0.2.1'],
  },
  {
    name: 'a masquerade behind the right exception',
    rules: ['POSTROUTING -d 10.0.0.0/8 -j RETURN', 'POSTROUTING -j MASQUERADE'],
  },
  {
    name: 'a masquerade behind too small an exception',
    rules: ['POSTROUTING -d 10.244.1.0/24 -j ACCEPT', 'POSTROUTING -j MASQUERADE'],
    want: ['POSTROUTING -j MASQUERADE'],
  },
  {
    name: 'a masquerade behind an exception that cannot be judged',
    rules: [
      'POSTROUTING -m set --match-set cluster dst -j RETURN',
      'POSTROUTING -s 10.244.0.0/16 -j MASQUERADE',
    ],
  },
  {
    name: 'one behind a chain that may accept',
    rules: [
      'POSTROUTING -j MAYBE',
      'POSTROUTING -s 10.244.0.0/16 -j MASQUERADE',
      'MAYBE -m set --match-set cluster dst -j ACCEPT',
    ],
  },
  {
    name: 'one behind a chain that may return',
    rules: [
      'POSTROUTING -j MAYBE',
      'POSTROUTING -s 10.244.0.0/16 -j MASQUERADE',
      'MAYBE -m set --match-set cluster dst -j RETURN',
    ],
    want: ['POSTROUTING -s 10.244.0.0/16 -j MASQUERADE'],
  },
  { name: 'a chain that leads to itself', rules: ['POSTROUTING -j A', 'A -j A'] },
  {
    name: 'another target',
    rules: ['POSTROUTING -s 10.244.0.0/16 -j LOG --log-prefix "-j MASQUERADE"'],
  },
])('$name', ({ rules, want = [] }) => {
  expect(blamed(rules)).toEqual(want);
});

test('links that nobody knows blame no rule, networks do', () => {
  const traffic = { ...TRAFFIC, underlays: [] };
  expect(blamed(['POSTROUTING -o eth0 -j MASQUERADE'], traffic)).toEqual([]);
  expect(blamed(['POSTROUTING -s 10.244.0.0/16 -j MASQUERADE'], traffic)).toHaveLength(1);
});

test('each family is asked for itself', () => {
  const rule = 'POSTROUTING -s fd00:244::/32 -j MASQUERADE';
  expect(blamed([rule], TRAFFIC, 6)).toEqual([rule]);
  expect(blamed(['POSTROUTING -j MASQUERADE'], { ...TRAFFIC, podCIDRs: [] })).toEqual([]);
});

test('what is told names table, chain and rule', () => {
  const table = natTableOf(parseListing(saved('POSTROUTING -j MASQUERADE')).nat, 'iptables-nft', 4);
  expect(foreignMasquerades([table], TRAFFIC).map(foreignMasqueradeText)).toEqual([
    'table nat of iptables-nft, chain POSTROUTING: rule "-A POSTROUTING -j MASQUERADE" masquerades ' +
      'what pods send to pods of other nodes',
  ]);
});
