import { expect, test } from 'vitest';
import { parseListing } from '../../../../../src/iptables/listing.ts';
import { formerFrontends } from '../../../../../src/proxy/modes/iptables/former-frontends.ts';

const A = 'AAAAAAAAAAAAAAAA';
const B = 'BBBBBBBBBBBBBBBB';

/** What iptables-save prints of table nat. */
function read(...rules: readonly string[]) {
  const { nat } = parseListing(['*nat', ...rules.map((rule) => `-A ${rule}`), 'COMMIT'].join('\n'));
  return formerFrontends({ rulesOf: (key) => nat.get(key.slice('nat '.length)) });
}

const served = async (...rules: readonly string[]) =>
  (await read(...rules)).map(({ frontend, endpoints }) => [frontend, [...endpoints]]);

test('addresses and NodePorts of UDP, with all endpoints behind them', async () => {
  const rules = [
    `KUBE-SERVICES -d 172.30.0.1/32 -p udp -m comment --comment "ns/dns:udp cluster IP" -m udp --dport 53 -j KUBE-SVC-${A}`,
    `KUBE-SERVICES -d 198.51.100.1/32 -p udp -m udp --dport 53 -j KUBE-FW-${A}`,
    'KUBE-SERVICES -m comment --comment "kubernetes service nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
    `KUBE-NODEPORTS -p udp -m comment --comment "ns/dns:udp" -m udp --dport 30053 -j KUBE-EXT-${A}`,
    `KUBE-FW-${A} -s 203.0.113.0/24 -j KUBE-EXT-${A}`,
    `KUBE-EXT-${A} -m comment --comment "masquerade traffic" -j KUBE-MARK-MASQ`,
    `KUBE-EXT-${A} -j KUBE-SVC-${A}`,
    `KUBE-SVC-${A} -m statistic --mode random --probability 0.5 -j KUBE-SEP-${A}`,
    `KUBE-SVC-${A} -j KUBE-SEP-${B}`,
    `KUBE-SEP-${A} -s 10.1.0.3/32 -j KUBE-MARK-MASQ`,
    `KUBE-SEP-${A} -p udp -m udp -j DNAT --to-destination 10.1.0.3:5353`,
    `KUBE-SEP-${B} -p udp -m udp -j DNAT --to-destination 10.1.0.4:5353`,
  ];
  const endpoints = ['10.1.0.3 5353', '10.1.0.4 5353'];
  expect(await served(...rules)).toEqual([
    [{ kind: 'clusterIP', ip: '172.30.0.1', protocol: 'udp', port: 53 }, endpoints],
    [{ kind: 'clusterIP', ip: '198.51.100.1', protocol: 'udp', port: 53 }, endpoints],
    [{ kind: 'nodePort', protocol: 'udp', port: 30053 }, endpoints],
  ]);
});

test('IPv6, and chains that lead to each other', async () => {
  const rules = [
    `KUBE-SERVICES -d fd00:172::1/128 -p udp -m udp --dport 53 -j KUBE-SVC-${A}`,
    `KUBE-SVC-${A} -j KUBE-SVC-${B}`,
    `KUBE-SVC-${B} -j KUBE-SVC-${A}`,
    `KUBE-SVC-${B} -j KUBE-SEP-${A}`,
    `KUBE-SEP-${A} -p udp -m udp -j DNAT --to-destination [fd00:10::3]:53`,
  ];
  expect(await served(...rules)).toEqual([
    [{ kind: 'clusterIP', ip: 'fd00:172::1', protocol: 'udp', port: 53 }, ['fd00:10::3 53']],
  ]);
});

test.each([
  ['TCP', `KUBE-SERVICES -d 172.30.0.1/32 -p tcp -m tcp --dport 53 -j KUBE-SVC-${A}`],
  [
    'a rule that marks',
    'KUBE-SERVICES -d 172.30.0.1/32 -p udp -m udp --dport 53 -j KUBE-MARK-MASQ',
  ],
  ['a network', `KUBE-SERVICES -d 172.30.0.0/16 -p udp -m udp --dport 53 -j KUBE-SVC-${A}`],
  [
    'what a comment says',
    `KUBE-SERVICES -p tcp -m comment --comment "-d 172.30.0.1/32 -p udp --dport 53 -j KUBE-SVC-${A}" -j RETURN`,
  ],
  ['a chain of somebody else', `MY-CHAIN -d 172.30.0.1/32 -p udp --dport 53 -j KUBE-SVC-${A}`],
  ['nothing', 'KUBE-SERVICES'],
])('not %s', async (_, rule) => {
  expect(await read(rule)).toEqual([]);
});
