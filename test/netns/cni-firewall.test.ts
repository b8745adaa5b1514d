/** Pods behind a FORWARD chain that drops, with the real iptables as the judge of our rules. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { firewallWith } from '../../src/cni/firewall/firewall.ts';
import { commentPrefix, ownerOf } from '../../src/cni/firewall/layout.ts';
import type { CniNode } from '../../src/cni/node.ts';
import type { ChainMember } from '../../src/cni/plugin.ts';
import type { Result } from '../../src/cni/protocol/result.ts';
import { openIptables } from '../../src/iptables/programs-sync.ts';
import { parseIPWithPrefix } from '../../src/net/cidr.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import type { Transaction } from '../../src/nftables/transaction.ts';
import { type MemberCall, MemberLab, type MemberPod } from '../support/member-lab.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';

let lab: MemberLab;
let outside: TestNetns;
let a: MemberPod;
let b: MemberPod;
let firewall: ChainMember;
const config = { type: 'firewall' };
const noAttachments = { ...config, 'cni.dev/valid-attachments': [] };

beforeEach(() => {
  lab = new MemberLab();
  outside = createNetns('out');
  connect(
    { netns: lab.host, link: 'up0', addresses: ['203.0.113.1/24', '2001:db8:113::1/64'] },
    { netns: outside, link: 'up0', addresses: ['203.0.113.9/24', '2001:db8:113::9/64'] },
  );
  outside.run('ip', 'route', 'add', '10.22.0.0/16', 'via', '203.0.113.1');
  outside.run('ip', 'route', 'add', 'fd00:22::/32', 'via', '2001:db8:113::1');
  lab.host.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  a = lab.pod(1);
  b = lab.pod(2);
  firewall = firewallWith(() => NftablesConnection.open({ netns: lab.hostNetns }));
});
afterEach(() => {
  outside.remove();
  lab.remove();
});

function dropForwarded(): void {
  lab.host.run('iptables', '-P', 'FORWARD', 'DROP');
  lab.host.run('ip6tables', '-P', 'FORWARD', 'DROP');
}
const add = (pod: MemberPod, options: MemberCall = {}, more: object = {}) =>
  firewall.add(lab.call('ADD', pod, { ...config, ...more }, options), pod.previous, []);
const del = (pod: MemberPod, options: MemberCall = {}) =>
  firewall.del({ ...lab.call('DEL', pod, config, options), netns: undefined });
const check = (pod: MemberPod) => firewall.check(lab.call('CHECK', pod, config), pod.previous);
const reaches = (from: TestNetns, address: string) =>
  from.attempt('ping', ['-c1', '-W1', address]).status === 0;
/** Once neighbours and their addresses have settled: any answer of several will do. */
const reachesSoon = (from: TestNetns, address: string) =>
  from.attempt('ping', ['-c10', '-i0.3', '-W1', address]).status === 0;
/** Rules as iptables prints them. */
const rules = (command = 'iptables') =>
  lab.host
    .run(command, '-S')
    .split('\n')
    .filter((line) => line.startsWith('-A'));

const ownRules = (network: string, pod: MemberPod) => {
  const address = pod.previous.ips[0]!.address.replace(/\/.*/, '');
  const owner = ownerOf({ network, containerId: pod.id, ifName: 'eth0' });
  const comment = (text: string) =>
    `-m comment --comment "weft ${network}: ${text} ${address} ${owner}"`;
  return [
    `-A WEFT-FORWARD -s ${address}/32 ${comment('from')} -j ACCEPT`,
    `-A WEFT-FORWARD -d ${address}/32 -m conntrack --ctstate RELATED,ESTABLISHED ${comment('to')} -j ACCEPT`,
  ];
};
const way = ['-A FORWARD -j WEFT-FORWARD', '-A WEFT-FORWARD -j CNI-ADMIN'];

describe('traffic', () => {
  test('pods reach the outside only with it, the outside does not reach pods', () => {
    dropForwarded();
    expect(reaches(a.netns, '203.0.113.9')).toBe(false);
    expect(reaches(a.netns, '2001:db8:113::9')).toBe(false);
    add(a);
    expect(reaches(a.netns, '203.0.113.9')).toBe(true);
    expect(reaches(a.netns, '2001:db8:113::9')).toBe(true);
    expect(reaches(b.netns, '203.0.113.9')).toBe(false);
    expect(reaches(outside, '10.22.1.2')).toBe(false);
    expect(reaches(outside, 'fd00:22:1::2')).toBe(false);
  });

  test("the administrator's chain is asked first", () => {
    dropForwarded();
    add(a);
    lab.host.run('iptables', '-A', 'CNI-ADMIN', '-d', '203.0.113.9', '-j', 'DROP');
    expect(reaches(a.netns, '203.0.113.9')).toBe(false);
  });

  test('rules of others that drop come after it', () => {
    dropForwarded();
    lab.host.run('iptables', '-A', 'FORWARD', '-j', 'DROP');
    add(a);
    expect(reaches(a.netns, '203.0.113.9')).toBe(true);
    expect(rules()).toContain('-A FORWARD -j DROP');
  });
});

describe('[128] rules', () => {
  test('one pair per pod and address, whatever the number of ADDs, as iptables writes them', () => {
    dropForwarded();
    for (const pod of [a, a, b]) add(pod);
    add(a, { network: 'other' });
    const own = [...ownRules('net', a), ...ownRules('net', b), ...ownRules('other', a)];
    expect(rules()).toEqual([...way, ...own]);
    expect(rules('ip6tables')).toHaveLength(2 + 6);
    check(a);
  });

  test('iptables still saves, restores, appends and deletes; what it restored is recognised', () => {
    dropForwarded();
    add(a);
    const before = rules();
    lab.host.run(
      'sh',
      '-c',
      'iptables-save > /tmp/$0 && iptables-restore < /tmp/$0; rm /tmp/$0',
      lab.host.name,
    );
    expect(rules()).toEqual(before);
    check(a);
    add(a);
    expect(rules()).toEqual(before);
    expect(reaches(a.netns, '203.0.113.9')).toBe(true);
    lab.host.run('iptables', '-A', 'FORWARD', '-s', '10.9.0.0/16', '-j', 'ACCEPT');
    lab.host.run('iptables', '-D', 'FORWARD', '-s', '10.9.0.0/16', '-j', 'ACCEPT');
    firewall.gc(lab.gcCall([], noAttachments));
    expect(rules()).toEqual([]);
  });

  test('without tables of iptables nothing is made', () => {
    add(a);
    check(a);
    expect(lab.host.run('nft', 'list', 'ruleset')).toBe('');
    lab.host.run('iptables', '-P', 'FORWARD', 'DROP');
    add(a);
    expect(rules()).toHaveLength(4);
    expect(lab.host.run('nft', 'list', 'tables')).not.toContain('ip6');
  });

  test('rules of others stay, in their order', () => {
    dropForwarded();
    lab.host.run('iptables', '-A', 'FORWARD', '-s', '10.9.0.0/16', '-j', 'ACCEPT');
    lab.host.run('iptables', '-A', 'FORWARD', '-d', '10.9.0.0/16', '-j', 'RETURN');
    const others = rules();
    add(a);
    expect(rules().slice(1, 3)).toEqual(others);
    firewall.gc(lab.gcCall([], noAttachments));
    expect(rules()).toEqual(others);
  });

  test('who loses a race finds the rules of who won', () => {
    dropForwarded();
    let rivals = 3;
    const open = () => {
      const nft = NftablesConnection.open({ netns: lab.hostNetns });
      const commit = nft.commit.bind(nft);
      nft.commit = (transaction: Transaction, options) => {
        rivals -= 1;
        if (rivals >= 0) add(a);
        commit(transaction, options);
      };
      return nft;
    };
    firewallWith(open).add(lab.call('ADD', a, config), a.previous, []);
    expect(rivals).toBeLessThan(2);
    expect(rules()).toEqual([...way, ...ownRules('net', a)]);
  });
});

describe('CHECK, STATUS and GC', () => {
  test.each([
    ['the jump', ['-D', 'FORWARD', '-j', 'WEFT-FORWARD'], 'FORWARD jump WEFT-FORWARD'],
    ['the rules', ['-F', 'WEFT-FORWARD'], 'weft net: from 10.22.1.2'],
  ])('CHECK misses %s', (_, command, message) => {
    dropForwarded();
    add(a);
    check(a);
    lab.host.run('iptables', ...command);
    expect(() => check(a)).toThrow(message);
    add(a);
    check(a);
  });

  test('STATUS is 51 when pods are cut off', () => {
    const status = () =>
      firewall.status?.({ request: lab.gcCall([], config).request, node: lab.node });
    status();
    dropForwarded();
    status();
    add(a);
    status();
    lab.host.run('iptables', '-D', 'FORWARD', '-j', 'WEFT-FORWARD');
    expect(status).toThrow(expect.objectContaining({ cniCode: 51 }));
    lab.host.run('iptables', '-P', 'FORWARD', 'ACCEPT');
    status();
  });

  test('GC removes the rules of invalid attachments, and the chain with the last one', () => {
    dropForwarded();
    for (const pod of [a, b]) add(pod);
    add(b, { network: 'other' });
    firewall.gc(lab.gcCall([], config));
    expect(rules()).toHaveLength(2 + 6);
    const valid = [{ containerID: a.id, ifname: 'eth0' }];
    firewall.gc(lab.gcCall([a], { ...config, 'cni.dev/valid-attachments': valid }));
    expect(rules()).toEqual([...way, ...ownRules('net', a), ...ownRules('other', b)]);
    firewall.gc(lab.gcCall([], noAttachments));
    expect(rules()).toEqual([...way, ...ownRules('other', b)]);
    firewall.gc(lab.gcCall([], noAttachments, { network: 'other' }));
    firewall.gc(lab.gcCall([], noAttachments, { network: 'other' }));
    expect(rules()).toEqual([]);
    expect(rules('ip6tables')).toEqual([]);
    expect(lab.host.run('iptables', '-S')).toContain('-N CNI-ADMIN');
    expect(lab.host.run('iptables', '-S')).not.toContain('WEFT');
  });

  test('GC takes rules of whole subnets, which earlier releases made, with the last attachment', () => {
    dropForwarded();
    add(a);
    const wide = `${commentPrefix('net')}from 10.22.1.0/24`;
    lab.host.run(
      'iptables',
      ...'-A WEFT-FORWARD -s 10.22.1.0/24 -j ACCEPT -m comment --comment'.split(' '),
      wide,
    );
    const valid = [{ containerID: a.id, ifname: 'eth0' }];
    firewall.gc(lab.gcCall([a], { ...config, 'cni.dev/valid-attachments': valid }));
    expect(rules()).toHaveLength(2 + 3);
    firewall.gc(lab.gcCall([], noAttachments));
    expect(rules()).toEqual([]);
  });
});

describe('only the pod, and only while it is there', () => {
  /** As macvlan or a bridge on the LAN gives it: the neighbours of the node are in its network. */
  const onLan: Result = {
    interfaces: [{ name: 'eth0', sandbox: '/pod' }],
    ips: [{ address: parseIPWithPrefix('10.22.2.99/24'), interface: 0 }],
    routes: [],
    dns: {},
  };

  test('neighbours in the network of its address are not let through', () => {
    dropForwarded();
    firewall.add(lab.call('ADD', a, config), onLan, []);
    expect(rules()).toHaveLength(2 + 2);
    expect(reaches(b.netns, '203.0.113.9')).toBe(false);
  });

  test('DEL takes its rules, those of others and the way to them stay', () => {
    dropForwarded();
    for (const pod of [a, b]) add(pod);
    expect(reaches(a.netns, '203.0.113.9')).toBe(true);
    del(a);
    del(a);
    expect(rules()).toEqual([...way, ...ownRules('net', b)]);
    expect(reaches(a.netns, '203.0.113.9')).toBe(false);
    expect(reaches(b.netns, '203.0.113.9')).toBe(true);
    del(b);
    expect(rules()).toEqual(way);
    expect(rules('ip6tables')).toEqual(way);
  });

  test('several DELs at once are one change', () => {
    dropForwarded();
    for (const pod of [a, b]) add(pod);
    const calls = [a, b].map((pod) => ({ ...lab.call('DEL', pod, config), netns: undefined }));
    expect(firewall.delMany?.(calls)).toEqual([undefined, undefined]);
    expect(rules()).toEqual(way);
  });

  test('an ADD that fails later takes its rules back; one with another address replaces them', () => {
    dropForwarded();
    const undo: (() => void)[] = [];
    firewall.add(lab.call('ADD', a, config), onLan, undo);
    add(a);
    expect(rules()).toEqual([...way, ...ownRules('net', a)]);
    for (const step of undo) step();
    expect(rules()).toEqual(way);
  });
});

describe('the place of the jump', () => {
  test('rules at the top that refuse some packets stay there, one that refuses all does not', () => {
    dropForwarded();
    lab.host.run('iptables', '-A', 'FORWARD', '-d', '203.0.113.9', '-p', 'tcp', '-j', 'REJECT');
    lab.host.run('iptables', '-A', 'FORWARD', '-s', '10.22.2.2', '-j', 'DROP');
    lab.host.run('iptables', '-A', 'FORWARD', '-j', 'DROP');
    const others = rules();
    for (const pod of [a, b]) add(pod);
    expect(rules().slice(0, 4)).toEqual([others[0], others[1], way[0], others[2]]);
    expect(reaches(a.netns, '203.0.113.9')).toBe(true);
    expect(reaches(b.netns, '203.0.113.9')).toBe(false);
  });

  test('behind all rules when each of them refuses some packets', () => {
    dropForwarded();
    lab.host.run('iptables', '-A', 'FORWARD', '-s', '10.22.2.2', '-j', 'DROP');
    add(a);
    expect(rules().slice(0, 2)).toEqual(['-A FORWARD -s 10.22.2.2/32 -j DROP', way[0]]);
  });
});

describe('with the programs of iptables', () => {
  let node: CniNode;
  beforeEach(() => {
    const iptables = openIptables(['nsenter', `--net=${lab.host.path}`]);
    node = { ...lab.node, kernel: { ...lab.node.kernel, iptables } };
  });
  const call = (verb: 'ADD' | 'DEL' | 'CHECK', pod: MemberPod, more: object = {}) => ({
    ...lab.call(verb, pod, { ...config, ...more }),
    node,
  });
  const addBy = (pod: MemberPod) => firewall.add(call('ADD', pod), pod.previous, []);

  test('a DROP policy that comes after ADD does not cut the pod off', () => {
    addBy(a);
    dropForwarded();
    expect(reachesSoon(a.netns, '203.0.113.9')).toBe(true);
    expect(reaches(b.netns, '203.0.113.9')).toBe(false);
    firewall.del({ ...call('DEL', a), netns: undefined });
    expect(reaches(a.netns, '203.0.113.9')).toBe(false);
  });

  test('iptables-legacy: traffic, CHECK, GC and DEL', () => {
    lab.host.run('iptables-legacy', '-A', 'FORWARD', '-s', '10.22.2.2', '-j', 'DROP');
    lab.host.run('iptables-legacy', '-P', 'FORWARD', 'DROP');
    lab.host.run('ip6tables-legacy', '-P', 'FORWARD', 'DROP');
    expect(reaches(a.netns, '203.0.113.9')).toBe(false);
    for (const pod of [a, a, b]) addBy(pod);
    expect(reachesSoon(a.netns, '203.0.113.9')).toBe(true);
    expect(reachesSoon(a.netns, '2001:db8:113::9')).toBe(true);
    expect(reaches(b.netns, '203.0.113.9')).toBe(false);
    firewall.check(call('CHECK', a), a.previous);
    expect(rules('iptables-legacy')).toEqual([
      '-A FORWARD -s 10.22.2.2/32 -j DROP',
      ...way,
      ...ownRules('net', a),
      ...ownRules('net', b),
    ]);
    const valid = [{ containerID: a.id, ifname: 'eth0' }];
    firewall.gc({ ...lab.gcCall([a], { ...config, 'cni.dev/valid-attachments': valid }), node });
    expect(rules('iptables-legacy')).toHaveLength(3 + 2);
    firewall.del({ ...call('DEL', a), netns: undefined });
    expect(rules('iptables-legacy')).toHaveLength(3);
    expect(reaches(a.netns, '203.0.113.9')).toBe(false);
    expect(() => firewall.check(call('CHECK', a), a.previous)).toThrow('is missing');
    expect(lab.host.run('nft', 'list', 'tables')).not.toContain('filter');
  });

  test.each(['nft', 'legacy'])(
    "DEL removes the reference's rules of the pod from iptables-%s",
    (variant) => {
      const iptables = `iptables-${variant}`;
      const rule = (...words: string[]) => lab.host.run(iptables, ...words);
      rule('-N', 'CNI-FORWARD');
      rule('-A', 'FORWARD', '-j', 'CNI-FORWARD');
      const answers = ['-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED'];
      for (const pod of ['10.22.1.2', '10.22.2.2']) {
        rule('-A', 'CNI-FORWARD', '-d', pod, ...answers, '-j', 'ACCEPT');
        rule('-A', 'CNI-FORWARD', '-s', pod, '-j', 'ACCEPT');
      }
      const prevResult = {
        cniVersion: '1.1.0',
        ips: a.previous.ips.map(({ address }) => ({ address })),
      };
      firewall.del({ ...call('DEL', a, { prevResult }), netns: undefined });
      expect(rules(iptables).filter((line) => line.includes('ACCEPT'))).toEqual([
        '-A CNI-FORWARD -d 10.22.2.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
        '-A CNI-FORWARD -s 10.22.2.2/32 -j ACCEPT',
      ]);
    },
  );
});

describe('ingressPolicy', () => {
  /** The pods' networks as seen from the bridge each of them is on. */
  const on = (pod: MemberPod, policy: string) => ({
    call: lab.call('ADD', pod, { ...config, ingressPolicy: policy }),
    previous: { ...pod.previous, interfaces: [{ name: pod.hostEnd }] },
  });
  const isolate = (pod: MemberPod, policy: string) => {
    const { call, previous } = on(pod, policy);
    firewall.add(call, previous, []);
    firewall.check(call, previous);
  };

  test('same-bridge: other bridges of the kind are not reached, everything else is', () => {
    const c = lab.pod(3);
    expect(reaches(a.netns, '10.22.2.2')).toBe(true);
    for (const pod of [a, b, a]) isolate(pod, 'same-bridge');
    expect(reaches(a.netns, '10.22.2.2')).toBe(false);
    expect(reaches(b.netns, 'fd00:22:1::2')).toBe(false);
    expect(reaches(a.netns, '10.22.3.2')).toBe(true);
    expect(reaches(c.netns, '10.22.1.2')).toBe(true);
    expect(reachesSoon(a.netns, '203.0.113.9')).toBe(true);
    expect(reaches(a.netns, '10.22.1.1')).toBe(true);
  });

  test('isolated: nothing of the bridge comes back to it either, and a weaker wish changes nothing', () => {
    isolate(a, 'same-bridge');
    isolate(a, 'isolated');
    isolate(a, 'same-bridge');
    expect(lab.host.run('nft', 'list', 'table', 'inet', 'weft-isolation')).toMatchInlineSnapshot(`
      "table inet weft-isolation {
      	comment "bridges that do not reach others"
      	set isolated {
      		typeof iifname . oifname
      		elements = { "v1" . "v1" }
      	}

      	set same-bridge {
      		typeof iifname . oifname
      		elements = { "v1" . "v1" }
      	}

      	set bridges {
      		typeof iifname
      		elements = { "v1" }
      	}

      	chain forward {
      		type filter hook forward priority filter; policy accept;
      		iifname . oifname @isolated drop
      		iifname . oifname @same-bridge return
      		iifname @bridges oifname @bridges drop
      	}
      }
      "
    `);
  });

  test('CHECK misses what somebody removed, and the first interface has to be told', () => {
    isolate(a, 'same-bridge');
    lab.host.run('nft', 'flush', 'set', 'inet', 'weft-isolation', 'bridges');
    const { call, previous } = on(a, 'same-bridge');
    expect(() => firewall.check(call, previous)).toThrow('missing in set bridges');
    lab.host.run('nft', 'delete', 'table', 'inet', 'weft-isolation');
    expect(() => firewall.check(call, previous)).toThrow('is missing in set');
    expect(() => firewall.add(call, { ...previous, interfaces: [] }, [])).toThrow(
      'make sure to chain "firewall" plugin with "bridge"',
    );
  });
});

test('the rules are those that iptables writes', () => {
  dropForwarded();
  add(a);
  const dump = () =>
    execFileSync(
      'nsenter',
      [
        `--net=${lab.host.path}`,
        'nft',
        '--debug=netlink',
        '-a',
        'list',
        'chain',
        'ip',
        'filter',
        'WEFT-FORWARD',
      ],
      { encoding: 'utf8' },
    );
  const expressions = () =>
    dump()
      .split('\n')
      .filter((line) => line.startsWith('  ['));
  expect(expressions()).toHaveLength(11);
  const own = expressions().map((line) => line.replace(/pkts \d+ bytes \d+/, ''));
  lab.host.run('iptables', '-F', 'WEFT-FORWARD');
  lab.host.run('iptables', '-A', 'WEFT-FORWARD', '-j', 'CNI-ADMIN');
  lab.host.run('iptables', '-A', 'WEFT-FORWARD', '-s', '10.22.1.2', '-j', 'ACCEPT');
  lab.host.run(
    'iptables',
    ...'-A WEFT-FORWARD -d 10.22.1.2 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'.split(
      ' ',
    ),
  );
  expect(own).toEqual(expressions().map((line) => line.replace(/pkts \d+ bytes \d+/, '')));
});
