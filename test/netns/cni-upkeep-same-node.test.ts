/** Pods that run already are sent through the node, and back, without losing a packet. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hostVethName } from '../../src/cni/attachment.ts';
import { WEFT_BINARY } from '../support/cluster.ts';
import type { TestNetns } from '../support/netns.ts';
import { UpkeepNode } from './cni-upkeep-lab.ts';

let node: UpkeepNode;
beforeEach(() => {
  node = new UpkeepNode();
  for (const tables of ['iptables', 'ip6tables', 'arptables']) {
    node.host.attempt('sysctl', ['-qw', `net.bridge.bridge-nf-call-${tables}=0`]);
  }
});
afterEach(async () => {
  await node.stopAgent();
  node.remove();
});

const COUNTERS = `table inet seen {
  chain forward {
    type filter hook forward priority 0
    ip saddr 10.22.0.0/24 ip daddr 10.22.0.0/24 counter
    ip6 saddr fd22::/64 ip6 daddr fd22::/64 counter
  }
}`;

function seen(): number[] {
  const text = node.host.run('nft', 'list', 'table', 'inet', 'seen');
  return Array.from(text.matchAll(/counter packets (\d+)/g), ([, count]) => Number(count));
}

interface ListedLink {
  readonly ifname: string;
  readonly linkinfo?: { readonly info_slave_data?: { readonly isolated?: boolean } };
}

function isolated(): boolean[] {
  const { stdout } = node.host.attempt('ip', '-j -d link show master cni0'.split(' '));
  const ports: readonly ListedLink[] = JSON.parse(stdout || '[]');
  return ports.map(({ linkinfo }) => linkinfo?.info_slave_data?.isolated === true);
}

const areIsolated = (count: number) => {
  const all = isolated();
  return all.length === count && all.every(Boolean);
};

const proxies = () =>
  node.host
    .ip<{ dst: string }[]>('-6', 'neigh', 'show', 'proxy')
    .map(({ dst }) => dst)
    .sort();

const tied = () =>
  node.host
    .attempt('nft', ['list', 'set', 'bridge', 'weft-spoof', 'tied-ports'])
    .stdout.match(/veth\w{8}/g) ?? [];

const sysctl = (path: string) => node.host.run('sysctl', '-n', path).trim();

/** Pings every 2 ms until it is told to stop, which gives how many were sent and how many answered. */
function pinging(pod: TestNetns, address: string): () => Promise<{ sent: number; lost: number }> {
  const ping = pod.start('ping', ['-n', '-q', '-i0.002', address]);
  let text = '';
  ping.stdout?.on('data', (part: Buffer) => {
    text += part.toString();
  });
  return async () => {
    const ended = once(ping, 'close');
    // nsenter has become it.
    ping.kill('SIGINT');
    await ended;
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text) ?? [];
    return { sent: Number(sent), lost: Number(sent) - Number(received) };
  };
}

const ECHO = `
const server = require('node:net').createServer((socket) => socket.pipe(socket));
server.listen(7000, '::', () => console.log('listening'));`;

/** Sends a number every 2 ms over one connection; prints how many came back, in order, and its errors. */
const CLIENT = `
const socket = require('node:net').connect(7000, process.argv[1]);
let sent = 0, text = '';
socket.on('data', (part) => { text += part; });
const timer = setInterval(() => socket.write(\`\${sent++}\\n\`), 2);
process.stdin.once('data', () => {
  clearInterval(timer);
  setTimeout(() => {
    const back = text.trim().split('\\n').filter((line, i) => line === String(i)).length;
    console.log(JSON.stringify({ sent, back }));
    process.exit();
  }, 500);
});`;

async function connection(from: TestNetns, to: TestNetns, address: string) {
  const server = to.start(process.execPath, ['-e', ECHO]);
  await once(server.stdout!, 'data');
  const client = from.start(process.execPath, ['-e', CLIENT, address]);
  let errors = '';
  client.stderr?.on('data', (part: Buffer) => {
    errors += part.toString();
  });
  return async (): Promise<{ sent: number; back: number }> => {
    let text = '';
    client.stdout?.on('data', (part: Buffer) => {
      text += part.toString();
    });
    client.stdin?.write('end\n');
    await once(client, 'close');
    server.kill('SIGKILL');
    await once(server, 'close');
    if (errors !== '') throw new Error(errors);
    return JSON.parse(text);
  };
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const BRIDGE_CALLS = 'net.bridge.bridge-nf-call-iptables';
const bridgeCalls = () => node.host.run('sysctl', '-n', BRIDGE_CALLS).trim();

test('br_netfilter leads no translated packet past isolated ports, and other bridges keep it', async () => {
  node.host.run('sysctl', '-qw', `${BRIDGE_CALLS}=1`);
  node.host.batch(['link add br-other type bridge']);
  const [a, b, c] = [node.pod(), node.pod(), node.pod()];
  node.attach(a, 'a');
  const [toB = ''] = node.attach(b, 'b');
  const [toC = ''] = node.attach(c, 'c');
  a.run('ip', 'route', 'add', '10.96.0.0/16', 'via', '10.22.0.1');
  // As the proxy has it for a Service.
  node.host.run(
    'nft',
    `table ip service {
  chain prerouting {
    type nat hook prerouting priority -100
    ip daddr 10.96.0.1 dnat to ${toB}
    ip daddr 10.96.0.2 dnat to ${toC}
  }
}`,
  );
  const before = await connection(a, b, '10.96.0.1');
  await node.startAgent({ policy: true });
  await node.until(() => areIsolated(3) && bridgeCalls() === '0');
  const after = await connection(a, c, '10.96.0.2');
  await wait(300);
  for (const end of [after, before]) {
    const { sent, back } = await end();
    expect(sent).toBeGreaterThan(20);
    expect(back).toBe(sent);
  }
  const [other] = node.host.ip<{ linkinfo: { info_data: Record<string, number> } }[]>(
    ...(['-d', 'link', 'show', 'br-other'] as const),
  );
  expect(other?.linkinfo.info_data).toMatchObject({ nf_call_iptables: 1 });
});

test('br_netfilter is switched on again by the next agent, for which nobody enforces policies', async () => {
  node.host.run('sysctl', '-qw', `${BRIDGE_CALLS}=1`);
  node.attach(node.pod(), 'a');
  node.attach(node.pod(), 'b');
  await node.startAgent({ policy: true });
  await node.until(() => areIsolated(2) && bridgeCalls() === '0');
  await node.stopAgent();
  await node.startAgent();
  await node.tellAgent('switch');
  await node.until(() => bridgeCalls() === '1');
});

describe('policies are switched on under running pods', () => {
  test('no packet is lost, connections go on, and the forward hook sees all; and back', async () => {
    const [a, b, c] = [node.pod(), node.pod(), node.pod()];
    node.attach(a, 'a');
    const [v4 = '', v6 = ''] = node.attach(b, 'b');
    node.attach(c, 'c');
    node.host.run('nft', COUNTERS);
    const traffic = async (change: () => Promise<void>) => {
      const pings = [pinging(a, v4), pinging(a, v6), pinging(c, v4)];
      const tcp = await connection(a, b, v4);
      await wait(500);
      await change();
      await wait(2_500);
      for (const stop of pings) {
        const { sent, lost } = await stop();
        expect(sent).toBeGreaterThan(300);
        expect(lost).toBe(0);
      }
      const { sent, back } = await tcp();
      expect(sent).toBeGreaterThan(100);
      expect(back).toBe(sent);
    };
    await traffic(async () => {
      expect(seen()).toEqual([0, 0]);
      await node.startAgent({ policy: true });
      await node.until(() => areIsolated(3));
    });
    await node.until(() => node.events.some(({ bypasses }) => bypasses?.length === 0));
    // It was nobody's fault.
    expect(node.count('repaired', 'sameNode')).toBe(0);
    const [before4 = 0, before6 = 0] = seen();
    expect(a.attempt('ping', ['-c10', '-i0.01', v4]).status).toBe(0);
    expect(a.attempt('ping', ['-c10', '-i0.01', v6]).status).toBe(0);
    expect(seen()).toEqual([before4 + 20, before6 + 20]);
    expect(proxies()).toHaveLength(3);
    expect(tied()).toHaveLength(3);
    // An agent without policies leaves it as it is until it is told that nobody enforces any.
    await node.stopAgent();
    await node.startAgent();
    await wait(500);
    expect(areIsolated(3)).toBe(true);
    await traffic(() => node.tellAgent('switch'));
    expect([isolated(), proxies(), tied()]).toEqual([[false, false, false], [], []]);
    expect([
      sysctl('net.ipv4.conf.cni0.proxy_arp_pvlan'),
      sysctl('net.ipv6.conf.cni0.proxy_ndp'),
    ]).toEqual(['0', '0']);
    const atRest = seen();
    await wait(300);
    a.run('ip', 'neigh', 'flush', 'all');
    expect(a.attempt('ping', ['-c3', '-i0.01', v4]).status).toBe(0);
    expect(seen()).toEqual(atRest);
  }, 60_000);

  test('what somebody changes comes back, and ways past the policies are told', async () => {
    const [a, b] = [node.pod(), node.pod()];
    node.attach(a, 'a');
    const [, v6 = ''] = node.attach(b, 'b');
    await node.startAgent({ policy: true, repairMs: 2_000 });
    await node.until(() => areIsolated(2));
    const [port = ''] = node.host
      .ip<ListedLink[]>('link', 'show', 'master', 'cni0')
      .map(({ ifname }) => ifname);
    node.host.run('bridge', 'link', 'set', 'dev', port, 'isolated', 'off');
    await node.until(() => areIsolated(2), 1_000);
    node.host.run('ip', 'link', 'set', port, 'type', 'bridge_slave', 'isolated', 'off');
    await node.until(() => areIsolated(2), 1_000);
    node.host.run('sysctl', '-qw', 'net.ipv6.conf.cni0.proxy_ndp=0');
    await node.until(() => sysctl('net.ipv6.conf.cni0.proxy_ndp') === '1', 1_000);
    node.host.run('sysctl', '-qw', 'net.ipv4.conf.cni0.proxy_arp_pvlan=0');
    node.host.run('ip', '-6', 'neigh', 'del', 'proxy', v6, 'dev', 'cni0');
    node.host.run(
      'ip',
      '-6',
      'neigh',
      'add',
      'proxy',
      'fd22::99',
      'dev',
      'cni0',
      'protocol',
      '202',
    );
    await node.until(() => sysctl('net.ipv4.conf.cni0.proxy_arp_pvlan') === '1');
    await node.until(() => proxies().join() === 'fd22::2,fd22::3');
    node.nft('flush', 'set', 'bridge', 'weft-spoof', 'tied-ports');
    await node.until(() => tied().length === 2, 1_000);
    node.nft('delete', 'table', 'ip6', 'weft-own-addresses');
    await node.until(
      () =>
        node.host
          .attempt('nft', ['list', 'table', 'ip6', 'weft-own-addresses'])
          .stdout.includes(v6),
      1_000,
    );
    const told = () => node.events.findLast(({ bypasses }) => bypasses !== undefined)?.bypasses;
    expect(told()).toEqual([]);
    node.host.run('ip', 'link', 'add', 'stranger', 'type', 'veth', 'peer', 'name', 'its-peer');
    node.host.run('ip', 'link', 'set', 'stranger', 'master', 'cni0');
    await node.until(() => told()?.join().includes('port stranger of bridge cni0') === true, 1_000);
    node.host.run('ip', 'link', 'del', 'stranger');
    await node.until(() => told()?.length === 0);
    node.host.run('ip', 'link', 'del', 'cni0');
    await node.until(() => areIsolated(2) && proxies().length === 2);
    await node.until(() => a.attempt('ping', ['-c1', '-W1', v6]).status === 0);
  }, 60_000);

  test('what an agent that was killed meanwhile has done goes with the pods, and another goes on', async () => {
    const pods = ['a', 'b', 'c', 'd'].map((id) => ({ pod: node.pod(), id }));
    const own = pods.map(({ pod, id }) => ({ pod, id, v6: node.attach(pod, id)[1] ?? '' }));
    const [one, two] = own;
    // Every address is answered for, one port is isolated, and no record tells of it yet.
    node.host.run('sysctl', '-qw', 'net.ipv6.conf.cni0.proxy_ndp=1');
    for (const { v6 } of own) {
      node.host.run('ip', '-6', 'neigh', 'add', 'proxy', v6, 'dev', 'cni0', 'protocol', '202');
    }
    const port = hostVethName({ network: 'net1', containerId: 'a', ifName: 'eth0' });
    node.host.run('bridge', 'link', 'set', 'dev', port, 'isolated', 'on');
    node.detach('a', one!.pod);
    expect(proxies()).toEqual(own.slice(1).map(({ v6 }) => v6));
    await node.startAgent({ policy: true });
    await node.until(() => areIsolated(3));
    expect(two!.pod.attempt('ping', ['-c1', '-W1', own[2]!.v6]).status).toBe(0);
    // Killed at any moment: records, proxies and elements go with the DELs all the same.
    await node.stopAgent();
    for (const { pod, id } of own.slice(1)) node.detach(id, pod);
    expect(proxies()).toEqual([]);
    expect(node.nft('list', 'table', 'ip6', 'weft-own-addresses')).not.toContain('fd22');
  }, 60_000);

  test('cleanup of policies lets pods send under any address again, and nobody takes that back', async () => {
    const [a, b] = [node.pod(), node.pod()];
    node.attach(a, 'a');
    const [v4 = ''] = node.attach(b, 'b', { macspoofchk: true });
    await node.startAgent({ policy: true });
    await node.until(() => tied().length === 2);
    await node.stopAgent();
    const env = { ...process.env, WEFT_RUN_DIR: node.runDir };
    const args = [`--net=${node.host.path}`, WEFT_BINARY, 'cleanup', '--component', 'policy'];
    const told = execFileSync('nsenter', args, { env, encoding: 'utf8' });
    expect(told).toContain("removed checks of senders' addresses at ports of 2 pods\n");
    await node.startAgent({ repairMs: 200 });
    const guarded = () => node.nft('list', 'set', 'bridge', 'weft-spoof', 'guarded-ports');
    node.nft('flush', 'set', 'bridge', 'weft-spoof', 'guarded-ports');
    await node.until(() => (guarded().match(/veth/g) ?? []).length === 1);
    expect(tied()).toEqual([]);
    expect(a.attempt('ping', ['-c1', '-W2', v4]).status).toBe(0);
  }, 60_000);

  test('a bridge on which the node would answer for others stays as it is, and that is told', async () => {
    const [a, b] = [node.pod(), node.pod()];
    node.attach(a, 'a');
    const [v4 = ''] = node.attach(b, 'b');
    node.host.run('ip', 'link', 'add', 'lan0', 'type', 'vxlan', 'id', '9', 'dstport', '4789');
    node.host.run('ip', 'link', 'set', 'lan0', 'master', 'cni0', 'up');
    await node.startAgent({ policy: true });
    await node.until(() => node.events.some(({ bypasses = [] }) => bypasses.length === 3));
    expect(isolated()).toEqual([false, false, false]);
    expect(sysctl('net.ipv4.conf.cni0.proxy_arp_pvlan')).toBe('0');
    expect(a.attempt('ping', ['-c1', '-W1', v4]).status).toBe(0);
    const all = node.events.flatMap(({ bypasses = [] }) => bypasses).join('\n');
    expect(all).toContain('the node would answer for hosts behind lan0');
    node.host.run('ip', 'link', 'set', 'lan0', 'nomaster');
    node.host.run('ip', 'link', 'del', 'lan0');
    await node.until(() => areIsolated(2), 2_000);
  }, 60_000);
});
