/** Pods of one bridge that reach each other through the node, whose forward hook sees every packet. */
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hostVethName } from '../../src/cni/attachment.ts';
import { BridgeLab } from '../support/bridge-lab.ts';
import type { TestNetns } from '../support/netns.ts';

let lab: BridgeLab;
beforeEach(() => {
  lab = new BridgeLab();
  // Programs nothing: what is tested is the way that packets take.
  lab.node.policies = { admit: () => undefined, check: () => undefined };
  // Where br_netfilter is loaded it would show the packets to the node, too.
  for (const tables of ['iptables', 'ip6tables', 'arptables']) {
    lab.host.attempt('sysctl', ['-qw', `net.bridge.bridge-nf-call-${tables}=0`]);
  }
});
afterEach(() => lab.remove());

const policy = (change: object = {}) =>
  lab.dualStack({ policy: true, hairpinMode: true, ...change });

function attach(id: string, change: object = {}): { readonly pod: TestNetns; readonly id: string } {
  const pod = lab.pod();
  lab.add(policy(change), { id, pod });
  return { pod, id };
}

const PORT_COUNTERS = `table inet seen {
  chain forward {
    type filter hook forward priority 0
    ip saddr 10.22.0.0/24 ip daddr 10.22.0.0/24 counter
    ip6 saddr fd00:22::/64 ip6 daddr fd00:22::/64 counter
  }
  chain output {
    type filter hook output priority 0
    icmp type redirect counter
  }
}`;

function watchForward(): () => number[] {
  lab.host.run('nft', PORT_COUNTERS);
  return () => {
    const text = lab.host.run('nft', 'list', 'table', 'inet', 'seen');
    return Array.from(text.matchAll(/counter packets (\d+)/g), ([, count]) => Number(count));
  };
}

/** Round trips of so many pings, milliseconds; the first among them. */
function ping(from: TestNetns, address: string, count = 1): number[] {
  const { stdout } = from.attempt('ping', ['-n', `-c${count}`, '-i0.002', '-W2', address]);
  return Array.from(stdout.matchAll(/time=([\d.]+)/g), ([, ms]) => Number(ms));
}

interface Address {
  readonly local: string;
  readonly dadfailed?: boolean;
  readonly tentative?: boolean;
}

/** Once duplicate address detection is over. */
async function settled(pod: TestNetns): Promise<readonly Address[]> {
  for (let waitedMs = 0; ; waitedMs += 100) {
    const [link] = pod.ip<{ addr_info: Address[] }[]>('-6', 'addr', 'show', 'dev', 'eth0');
    const addresses = link?.addr_info ?? [];
    const isOver = addresses.every(({ tentative, dadfailed }) => !tentative || dadfailed);
    if (isOver || waitedMs > 8_000) return addresses;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const refused = (addresses: readonly Address[]) =>
  addresses.filter(({ dadfailed }) => dadfailed).map(({ local }) => local);

describe('pods of one bridge with policy', () => {
  test.each([
    ['10.22.0.3', 0],
    ['fd00:22::3', 1],
  ])('%s: the forward hook sees every packet, the first too', (address, family) => {
    const counts = watchForward();
    const a = attach('a');
    attach('b');
    const times = ping(a.pod, address, 100);
    expect(times).toHaveLength(100);
    // By default the kernel answers for others after up to 0.8 s.
    expect(times[0]).toBeLessThan(300);
    expect(counts()[family]).toBe(200);
    expect(counts()[2]).toBe(0);
  });

  test('a rule in forward keeps one pod from another', () => {
    const a = attach('a');
    const b = attach('b');
    lab.host.run(
      'nft',
      `table inet deny { chain forward { type filter hook forward priority 0; ip saddr 10.22.0.2 ip daddr 10.22.0.3 drop; ip6 saddr fd00:22::2 ip6 daddr fd00:22::3 drop; }\n}`,
    );
    expect([ping(a.pod, '10.22.0.3'), ping(a.pod, 'fd00:22::3')]).toEqual([[], []]);
    lab.host.run('nft', 'delete', 'table', 'inet', 'deny');
    expect(ping(a.pod, '10.22.0.3')).toHaveLength(1);
    expect(ping(b.pod, 'fd00:22::2')).toHaveLength(1);
  });

  test('a frame for the hardware address of the other goes nowhere', () => {
    const a = attach('a');
    const b = attach('b');
    const [end] = b.pod.ip<{ address: string }[]>('link', 'show', 'eth0');
    for (const address of ['10.22.0.3', 'fd00:22::3']) {
      const entry = ['lladdr', end?.address ?? '', 'dev', 'eth0', 'nud', 'permanent'];
      a.pod.run('ip', 'neigh', 'replace', address, ...entry);
      expect(ping(a.pod, address)).toEqual([]);
    }
  });

  test('CHECK finds a port that is not isolated, and a missing proxy', () => {
    const a = attach('a');
    const port = hostVethName({ network: 'net', containerId: 'a', ifName: 'eth0' });
    expect(() => lab.check(policy(), a)).not.toThrow();
    lab.host.run('bridge', 'link', 'set', 'dev', port, 'isolated', 'off');
    expect(lab.failure('CHECK', policy(), a).msg).toContain('isolation is not true');
    lab.host.run('bridge', 'link', 'set', 'dev', port, 'isolated', 'on');
    lab.host.run('ip', '-6', 'neigh', 'del', 'proxy', 'fd00:22::2', 'dev', 'br0');
    expect(lab.failure('CHECK', policy(), a).msg).toContain('does not answer for fd00:22::2');
  });

  test("DEL takes the proxy and the pod's element away, those of others stay", () => {
    attach('a');
    attach('b');
    lab.del(policy(), { id: 'a' });
    expect(proxies()).toEqual(['fd00:22::3']);
    expect(ownAddresses()).toEqual(['fd00:22::3']);
    lab.del(policy(), { id: 'b' });
    expect([proxies(), ownAddresses()]).toEqual([[], []]);
  });

  test('an ADD that fails later leaves neither', () => {
    attach('a');
    const routes = [{ dst: 'fd00:50::/64', gw: 'fd00:99::1' }];
    const config = policy({ ipam: { ...Object(policy()['ipam']), routes } });
    expect(lab.failure('ADD', config, { id: 'b', pod: lab.pod() }).msg).toContain('fd00:50::/64');
    expect([proxies(), ownAddresses()]).toEqual([['fd00:22::2'], ['fd00:22::2']]);
  });

  test('GC takes them away, too', () => {
    attach('a');
    attach('b');
    lab.gc(policy(), ['a']);
    expect([proxies(), ownAddresses()]).toEqual([['fd00:22::2'], ['fd00:22::2']]);
  });

  test('with macspoofchk and promiscMode', () => {
    const change = { hairpinMode: false, promiscMode: true, macspoofchk: true, ipMasq: true };
    const a = attach('a', change);
    attach('b', change);
    expect(ping(a.pod, '10.22.0.3')).toHaveLength(1);
    expect(ping(a.pod, 'fd00:22::3')).toHaveLength(1);
  });

  test('host ports of a pod serve the pods beside it', async () => {
    const a = attach('a');
    const b = lab.pod();
    const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }];
    lab.add(policy({ type: 'weft', runtimeConfig: { portMappings } }), { id: 'b', pod: b });
    const server = `require('node:http').createServer((_, r) => r.end('here')).listen(80, '::', () => console.log(1))`;
    const child = b.start(process.execPath, ['-e', server]);
    await once(child.stdout!, 'data');
    for (const address of ['10.22.0.1', '[fd00:22::1]']) {
      const script = `fetch('http://${address}:8080').then((r) => r.text()).then(console.log)`;
      expect(a.pod.attempt(process.execPath, ['-e', script], 5_000).stdout).toBe('here\n');
    }
  });

  test('a pod reaches itself and others by an address that is translated', () => {
    const a = attach('a');
    attach('b');
    lab.host.run(
      'nft',
      `table inet nat {
        chain prerouting {
          type nat hook prerouting priority dstnat
          ip daddr 172.30.0.1 dnat to 10.22.0.2
          ip daddr 172.30.0.2 dnat to 10.22.0.3
        }
        chain postrouting {
          type nat hook postrouting priority srcnat
          ip saddr 10.22.0.2 ip daddr 10.22.0.2 masquerade
        }
      }`,
    );
    expect([ping(a.pod, '172.30.0.1').length, ping(a.pod, '172.30.0.2').length]).toEqual([1, 1]);
  });
});

describe('where policies are enforced, a network that does not ask for them', () => {
  test.each([
    { name: 'is sent through the node', want: 'on' },
    {
      name: 'with portIsolation is not',
      change: { portIsolation: true },
      want: 'on',
      answers: '0',
    },
    {
      name: 'without a gateway is not',
      change: { isDefaultGateway: false },
      want: 'off',
      answers: '0',
    },
    { name: 'on a bridge with a LAN is not', lan: true, want: 'off', answers: '0' },
  ])('$name', ({ change = {}, lan = false, want, answers = '1' }) => {
    const config = lab.dualStack(change);
    if (lan) {
      lab.host.batch([
        'link add br0 type bridge',
        'link add lan0 type vxlan id 9 dstport 4789',
        'link set lan0 master br0',
      ]);
    }
    const pod = lab.pod();
    lab.add(config, { pod });
    const port = hostVethName({ network: 'net', containerId: 'pod-1', ifName: 'eth0' });
    expect(lab.host.run('bridge', '-d', 'link', 'show', 'dev', port)).toContain(`isolated ${want}`);
    const sysctl = 'net.ipv4.conf.br0.proxy_arp_pvlan';
    expect(lab.host.run('sysctl', '-n', sysctl).trim()).toBe(answers);
    expect(() => lab.check(config, { pod })).not.toThrow();
  });
});

describe('duplicate address detection of a pod that is answered for', () => {
  test('the address of ADD, detected', async () => {
    const a = attach('a', { enabledad: true });
    expect(refused(await settled(a.pod))).toEqual([]);
  });

  test('an own address that the pod takes away and adds again is no duplicate', async () => {
    const a = attach('a');
    const eth0 = ['fd00:22::2/64', 'dev', 'eth0'];
    a.pod.run('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=2');
    a.pod.run('ip', 'addr', 'del', ...eth0);
    a.pod.run('ip', 'addr', 'add', ...eth0);
    a.pod.run('ip', 'link', 'set', 'eth0', 'down');
    a.pod.run('ip', 'link', 'set', 'eth0', 'up');
    const addresses = await settled(a.pod);
    expect(refused(addresses)).toEqual([]);
    // With accept_dad=2 a duplicate link-local address would have ended IPv6 on the link.
    expect(addresses.some(({ local }) => local.startsWith('fe80'))).toBe(true);
    expect(ping(a.pod, 'fd00:22::1')).toHaveLength(1);
  });

  test("an address of nobody is free, one of another pod and the gateway's are not", async () => {
    const a = attach('a');
    attach('b');
    a.pod.run('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=1');
    for (const address of ['fd00:22::77', 'fd00:22::3', 'fd00:22::1']) {
      a.pod.run('ip', 'addr', 'add', `${address}/64`, 'dev', 'eth0');
    }
    expect(refused(await settled(a.pod)).sort()).toEqual(['fd00:22::1', 'fd00:22::3']);
  });
});

function proxies(): string[] {
  const listed = lab.host.ip<{ dst: string; proto?: string }[]>('-6', 'neigh', 'show', 'proxy');
  return listed.map(({ dst }) => dst).sort();
}

function ownAddresses(): string[] {
  const text = lab.nft('list', 'set', 'ip6', 'weft-own-addresses', 'own-addresses');
  return Array.from(text.matchAll(/ \. (fd[0-9a-f:]+)/g), ([, address]) => address ?? '').sort();
}
