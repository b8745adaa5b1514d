/** Pods with a raw socket that send as somebody else: none of it enters the bridge where policies are enforced. */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hostVethName, vethMacs } from '../../src/cni/attachment.ts';
import { linkLocalOf } from '../../src/net/mac.ts';
import { WeftError } from '../../src/util/errors.ts';
import { BridgeLab } from '../support/bridge-lab.ts';
import {
  arpFrame,
  ethernet,
  icmpv6Frame,
  ipFrame,
  sendFrames,
  targetBody,
  udpFrame,
} from '../support/forged-frames.ts';
import type { TestNetns } from '../support/netns.ts';
import {
  localPodOf,
  namespaceChange,
  type OpenedEnforcer,
  openEnforcer,
  podChange,
  policyChange,
} from '../support/policy-enforcer.ts';

const TIMES = 3;
/** Of frames, with padding. */
const LENGTH = 500;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const ALL_NODES = { mac: '33:33:00:00:00:01', ip: 'ff02::1' } as const;
const NOBODY = { 4: '10.22.0.77', 6: 'fd00:22::77' } as const;
const GATEWAY = { 4: '10.22.0.1', 6: 'fd00:22::1' } as const;

interface Pod {
  readonly netns: TestNetns;
  readonly mac: string;
  readonly linkLocal: string;
  readonly port: string;
  readonly ips: { readonly 4: string; readonly 6: string };
}

let lab: BridgeLab;
let a: Pod;
let b: Pod;
let c: Pod;
let bridge: string;

function attach(id: string, host: number): Pod {
  const attachment = { network: 'net', containerId: id, ifName: 'eth0' };
  const netns = lab.pod();
  lab.add(lab.dualStack({ hairpinMode: true }), { id, pod: netns });
  const { pod: mac } = vethMacs(attachment);
  return {
    ...{ netns, mac, linkLocal: linkLocalOf(mac), port: hostVethName(attachment) },
    ips: { 4: `10.22.0.${host}`, 6: `fd00:22::${host}` },
  };
}

beforeAll(() => {
  lab = new BridgeLab();
  lab.node.policies = { admit: () => undefined, check: () => undefined };
  [a, b, c] = [attach('a', 2), attach('b', 3), attach('c', 4)];
  bridge = String(lab.link('br0')['address']);
  // Behind the guard, so that only what has passed is counted.
  lab.host.run(
    'nft',
    'add table bridge seen; add chain bridge seen c { type filter hook prerouting priority -200; }',
  );
});
afterAll(() => lab?.remove());

/** How many of these frames enter the bridge by the port of pod a, known by their length from its own ones. */
function entering(frame: Buffer): number {
  const rule = `iifname ${a.port} meta length ${LENGTH - 20}-${LENGTH} counter`;
  lab.host.run('nft', `flush chain bridge seen c; add rule bridge seen c ${rule}`);
  const padded = Buffer.concat([frame, Buffer.alloc(LENGTH - frame.length)]);
  sendFrames(
    a.netns,
    Array.from({ length: TIMES }, () => padded),
  );
  const listed = lab.host.run('nft', 'list', 'chain', 'bridge', 'seen', 'c');
  return Number(/packets (\d+)/.exec(listed)?.[1]);
}

const toNode = () => ({ from: a.mac, to: bridge });
const toAll = () => ({ from: a.mac, to: BROADCAST });
const toAllNodes = () => ({ from: a.mac, to: ALL_NODES.mac });

interface Row {
  readonly name: string;
  readonly frame: () => Buffer;
}

describe('what a pod sends as somebody else does not enter', () => {
  test.each<Row>([
    ...([4, 6] as const).flatMap((family): readonly Row[] => [
      {
        name: `IPv${family} with the address of another pod`,
        frame: () => udpFrame(toNode(), { source: c.ips[family], destination: b.ips[family] }, 80),
      },
      {
        name: `IPv${family} with the address of nobody`,
        frame: () => udpFrame(toNode(), { source: NOBODY[family], destination: b.ips[family] }, 80),
      },
      {
        name: `IPv${family} with the address of the gateway`,
        frame: () =>
          udpFrame(toNode(), { source: GATEWAY[family], destination: b.ips[family] }, 80),
      },
      {
        name: `IPv${family} of its own with the hardware address of another pod`,
        frame: () =>
          udpFrame(
            { ...toNode(), from: c.mac },
            { source: a.ips[family], destination: b.ips[family] },
            80,
          ),
      },
      {
        name: `IPv${family} of its own with a tag of no VLAN`,
        frame: () =>
          udpFrame(
            { ...toNode(), tags: [[0x8100, 0]] },
            { source: a.ips[family], destination: b.ips[family] },
            80,
          ),
      },
      {
        name: `IPv${family} of another pod behind two tags`,
        frame: () =>
          udpFrame(
            {
              ...toNode(),
              tags: [
                [0x8100, 0],
                [0x8100, 0],
              ],
            },
            { source: c.ips[family], destination: b.ips[family] },
            80,
          ),
      },
    ]),
    {
      name: 'IPv4 from 0.0.0.0',
      frame: () => udpFrame(toNode(), { source: '0.0.0.0', destination: b.ips[4] }, 80),
    },
    {
      name: 'an answer of ARP for another pod',
      frame: () => arpFrame(toNode(), 2, { mac: a.mac, ip: c.ips[4] }, GATEWAY[4]),
    },
    {
      name: 'ARP about an address of another pod, to all',
      frame: () => arpFrame(toAll(), 1, { mac: a.mac, ip: c.ips[4] }, c.ips[4]),
    },
    {
      name: 'ARP that gives its address to another pod',
      frame: () => arpFrame(toNode(), 2, { mac: c.mac, ip: a.ips[4] }, GATEWAY[4]),
    },
    {
      name: 'a probe of ARP from the hardware address of another pod',
      frame: () =>
        arpFrame({ from: c.mac, to: BROADCAST }, 1, { mac: c.mac, ip: '0.0.0.0' }, NOBODY[4]),
    },
    {
      name: 'a neighbour advertisement for another pod',
      frame: () =>
        icmpv6Frame(
          toAllNodes(),
          { source: a.ips[6], destination: ALL_NODES.ip },
          136,
          targetBody(c.ips[6]),
        ),
    },
    {
      name: 'a neighbour advertisement from another pod',
      frame: () =>
        icmpv6Frame(
          toAllNodes(),
          { source: c.ips[6], destination: ALL_NODES.ip },
          136,
          targetBody(c.ips[6]),
        ),
    },
    {
      name: 'a neighbour solicitation from another pod',
      frame: () =>
        icmpv6Frame(
          toNode(),
          { source: c.ips[6], destination: GATEWAY[6] },
          135,
          targetBody(GATEWAY[6]),
        ),
    },
    {
      name: 'a neighbour solicitation from the link-local address of another pod',
      frame: () =>
        icmpv6Frame(
          toNode(),
          { source: c.linkLocal, destination: GATEWAY[6] },
          135,
          targetBody(GATEWAY[6]),
        ),
    },
    {
      name: 'a neighbour solicitation without address, from the hardware address of another pod',
      frame: () =>
        icmpv6Frame(
          { ...toNode(), from: c.mac },
          { source: '::', destination: ALL_NODES.ip },
          135,
          targetBody(a.ips[6]),
        ),
    },
    {
      name: 'a router advertisement',
      frame: () =>
        icmpv6Frame(
          toAllNodes(),
          { source: a.linkLocal, destination: ALL_NODES.ip },
          134,
          Buffer.alloc(12),
        ),
    },
    {
      name: 'a redirect',
      frame: () =>
        icmpv6Frame(
          toNode(),
          { source: a.linkLocal, destination: GATEWAY[6] },
          137,
          Buffer.alloc(36),
        ),
    },
    {
      name: 'an echo request without address',
      frame: () =>
        icmpv6Frame(toNode(), { source: '::', destination: b.ips[6] }, 128, Buffer.alloc(4)),
    },
    {
      name: 'an IPv4 header too short to be one',
      frame: () => ethernet(toNode(), 0x0800, Buffer.from([0x44, 0, 0, 20])),
    },
    { name: 'a frame of no protocol', frame: () => ethernet(toNode(), 0x88b5, Buffer.alloc(46)) },
  ])('$name', ({ frame }) => {
    expect(entering(frame())).toBe(0);
  });
});

describe('what an honest pod sends enters', () => {
  test.each<Row>([
    ...([4, 6] as const).map((family) => ({
      name: `IPv${family} of its own`,
      frame: () => udpFrame(toNode(), { source: a.ips[family], destination: b.ips[family] }, 80),
    })),
    {
      name: 'a report to a multicast group',
      frame: () =>
        ipFrame(
          { from: a.mac, to: '01:00:5e:00:00:16' },
          { source: a.ips[4], destination: '224.0.0.22' },
          { protocol: 2, body: Buffer.from([0x22, 0, 0, 0, 0, 0, 0, 0]) },
        ),
    },
    {
      name: 'ARP of its own',
      frame: () => arpFrame(toAll(), 1, { mac: a.mac, ip: a.ips[4] }, GATEWAY[4]),
    },
    {
      name: 'a probe of ARP',
      frame: () => arpFrame(toAll(), 1, { mac: a.mac, ip: '0.0.0.0' }, NOBODY[4]),
    },
    {
      name: 'a neighbour advertisement of its own',
      frame: () =>
        icmpv6Frame(
          toAllNodes(),
          { source: a.ips[6], destination: ALL_NODES.ip },
          136,
          targetBody(a.ips[6]),
        ),
    },
    {
      name: 'a neighbour advertisement of its link-local address',
      frame: () =>
        icmpv6Frame(
          toNode(),
          { source: a.linkLocal, destination: GATEWAY[6] },
          136,
          targetBody(a.linkLocal),
        ),
    },
    {
      name: 'a neighbour solicitation from its link-local address',
      frame: () =>
        icmpv6Frame(
          toNode(),
          { source: a.linkLocal, destination: GATEWAY[6] },
          135,
          targetBody(GATEWAY[6]),
        ),
    },
    ...[135, 131, 143].map((type) => ({
      name: `ICMPv6 of type ${type} while it has no address`,
      frame: () =>
        icmpv6Frame(
          toAllNodes(),
          { source: '::', destination: ALL_NODES.ip },
          type,
          targetBody(a.ips[6]),
        ),
    })),
    {
      name: 'an echo request',
      frame: () =>
        icmpv6Frame(toNode(), { source: a.ips[6], destination: b.ips[6] }, 128, Buffer.alloc(4)),
    },
  ])('$name', ({ frame }) => {
    expect(entering(frame())).toBe(TIMES);
  });
});

test('nobody takes the traffic of another pod of the node', () => {
  const reaches = (family: 4 | 6) =>
    b.netns.attempt('ping', ['-n', '-c1', '-W2', c.ips[family]]).status;
  expect([reaches(4), reaches(6)]).toEqual([0, 0]);
  sendFrames(a.netns, [
    arpFrame(toNode(), 2, { mac: a.mac, ip: c.ips[4] }, GATEWAY[4]),
    arpFrame(toAll(), 1, { mac: a.mac, ip: c.ips[4] }, c.ips[4]),
    arpFrame({ ...toAll(), from: c.mac }, 1, { mac: c.mac, ip: '0.0.0.0' }, GATEWAY[4]),
    icmpv6Frame(
      toAllNodes(),
      { source: c.ips[6], destination: ALL_NODES.ip },
      136,
      targetBody(c.ips[6]),
    ),
  ]);
  const neighbours = lab.host.ip<{ dst: string; lladdr?: string }[]>('neigh', 'show', 'dev', 'br0');
  const known = neighbours.filter(({ dst }) => dst === c.ips[4] || dst === c.ips[6]);
  expect(known.map(({ lladdr }) => lladdr)).toEqual([c.mac, c.mac]);
  const entries = lab.host.run('bridge', 'fdb', 'show', 'br', 'br0').split('\n');
  expect(
    entries.filter((line) => line.startsWith(c.mac)).map((line) => line.split(' ')[2]),
  ).toEqual([c.port]);
  expect([reaches(4), reaches(6)]).toEqual([0, 0]);
});

describe('policies', () => {
  let opened: OpenedEnforcer;
  beforeAll(() => {
    lab.host.attempt('nft', ['delete', 'table', 'inet', 'weft-policy']);
    const counts = 'type filter hook prerouting priority 0; udp dport 80 counter';
    b.netns.run('nft', `table inet seen { chain c { ${counts}\n } \n}`);
  });
  afterEach(async () => {
    await opened.close();
    lab.host.run('nft', 'delete', 'table', 'inet', 'weft-policy');
  });

  /** Pods by their names, those that come later attached later, under policies. */
  const enforce = (pods: readonly (readonly [string, Pod])[], ...policies: readonly string[]) => {
    opened = openEnforcer(lab.host, 'n1');
    const { enforcer } = opened;
    enforcer.apply(namespaceChange('x', {}));
    for (const [name, { ips }] of pods) {
      const key = `x/${name}`;
      enforcer.apply(podChange(key, { ips: Object.values(ips), node: 'n1', labels: { name } }));
      enforcer.apply(localPodOf(key, Object.values(ips)));
    }
    for (const policy of policies) enforcer.apply(policyChange(policy));
    enforcer.setSynced();
    enforcer.commit();
  };
  const arrived = () =>
    Number(/packets (\d+)/.exec(b.netns.run('nft', 'list', 'table', 'inet', 'seen'))?.[1]);
  /** One datagram of each family to pod b, from this port under these addresses. */
  const send = (pod: Pod, { ips } = pod) => {
    for (const family of [4, 6] as const) {
      const addresses = { source: ips[family], destination: b.ips[family] };
      sendFrames(pod.netns, [udpFrame({ from: pod.mac, to: bridge }, addresses, 80)]);
    }
  };
  const ONLY_C = `{kind: NetworkPolicy, metadata: {namespace: x, name: only-c}, spec: {
    podSelector: {matchLabels: {name: b}}, policyTypes: [Ingress],
    ingress: [{from: [{podSelector: {matchLabels: {name: c}}}]}]}}`;
  const NOTHING_OUT = `{kind: NetworkPolicy, metadata: {namespace: x, name: d}, spec: {
    podSelector: {matchLabels: {name: d}}, policyTypes: [Egress]}}`;

  test('that let one pod in let nobody in who says to be that one', async () => {
    const pods = Object.entries({ a, b, c });
    enforce(pods, ONLY_C);
    const before = arrived();
    send(c);
    await expect.poll(arrived).toBe(before + 2);
    send(a, c);
    // Behind them, by the same way.
    send(c);
    await expect.poll(arrived).toBe(before + 4);
  });

  test.each([
    ['one that is let in', ['c', 'd'], [ONLY_C]],
    ['one that may send', ['d', 'c'], [NOTHING_OUT]],
  ])('take no pod for %s which has its address', async (_name, names, policies) => {
    const alike = names.map((name) => [name, c] as const);
    enforce([...Object.entries({ a, b }), ...alike], ...policies);
    const before = arrived();
    send(c);
    opened.enforcer.apply(localPodOf('x/d', []));
    opened.enforcer.commit();
    send(c);
    await expect.poll(arrived).toBe(before + 2);
  });
});

describe('pods of other networks send under what they were given', () => {
  const give = (id: string, change: object, ifName = 'eth0') => {
    const pod = lab.pod();
    lab.add(lab.dualStack(change), { id, pod, ifName });
    return pod;
  };
  const answers = (pod: TestNetns, ...addresses: readonly string[]) =>
    addresses.filter((ip) => pod.attempt('ping', ['-n', '-c1', '-W2', ip]).status === 0);

  test('several addresses of one family, as runtimeConfig asks for them', () => {
    const ips = ['10.22.0.20/24', '10.22.0.21/24', 'fd00:22::20/64', 'fd00:22::21/64'];
    const ipam = { type: 'static' };
    const pod = give('many', { ipam, runtimeConfig: { ips } });
    for (const ip of ips) {
      const [source = ''] = ip.split('/');
      const gateway = source.includes(':') ? GATEWAY[6] : GATEWAY[4];
      expect(pod.attempt('ping', ['-n', '-c1', '-W2', '-I', source, gateway]).status).toBe(0);
    }
    pod.run('ip', 'addr', 'add', '10.22.0.22/24', 'dev', 'eth0');
    const taken = pod.attempt('ping', ['-n', '-c1', '-W1', '-I', '10.22.0.22', GATEWAY[4]]);
    expect(taken.status).toBe(1);
  });

  test('a second network of a pod', () => {
    const pod = give('two', {});
    const second = { name: 'second', bridge: 'br1', isGateway: true, isDefaultGateway: false };
    const ranges = [[{ subnet: '10.23.0.0/24' }], [{ subnet: 'fd00:23::/64' }]];
    const ipam = { type: 'host-local', dataDir: lab.directory, ranges };
    lab.add(lab.config({ ...second, ipam }), { id: 'two', pod, ifName: 'net1' });
    const all = [GATEWAY[4], GATEWAY[6], '10.23.0.1', 'fd00:23::1', b.ips[4], b.ips[6]];
    expect(answers(pod, ...all)).toEqual(all);
  });

  test('a hardware address that was asked for', () => {
    const pod = give('mac', { runtimeConfig: { mac: 'c2:11:22:33:44:77' } });
    expect(answers(pod, GATEWAY[4], GATEWAY[6])).toHaveLength(2);
  });

  test('one that tuning gives it afterwards', () => {
    const mac = 'c2:11:22:33:44:78';
    const pod = lab.pod();
    const prevResult = lab.add(lab.dualStack({}), { id: 'tuned', pod });
    const tuning = { type: 'tuning', dataDir: join(lab.directory, 'tuned'), mac, prevResult };
    lab.add(lab.config(tuning), { id: 'tuned', pod });
    expect(pod.ip('link', 'show', 'eth0')).toMatchObject([{ address: mac }]);
    expect(answers(pod, GATEWAY[4], GATEWAY[6])).toHaveLength(2);
    lab.check(lab.dualStack({}), { id: 'tuned', pod });
  });
});

describe('what ties a pod to its port', () => {
  const elements = () => {
    const { stdout } = lab.host.attempt('nft', ['list', 'table', 'bridge', 'weft-spoof']);
    return (stdout.match(/veth\w{8}/g) ?? []).filter((name) => name === portOf('d'));
  };
  const portOf = (containerId: string) =>
    hostVethName({ network: 'net', containerId, ifName: 'eth0' });
  const config = () => lab.dualStack({});

  test('goes with DEL, with GC, and with an ADD that fails', () => {
    lab.add(config(), { id: 'd', pod: lab.pod() });
    // Of guarded-ports, allowed-senders, tied-ports, and three addresses.
    expect(elements()).toHaveLength(6);
    lab.del(config(), { id: 'd' });
    expect(elements()).toEqual([]);
    lab.add(config(), { id: 'd', pod: lab.pod() });
    lab.gc(config(), ['a', 'b', 'c', 'many', 'two', 'mac', 'tuned']);
    expect(elements()).toEqual([]);
    const routes = [{ dst: 'fd00:50::/64', gw: 'fd00:99::1' }];
    const broken = { ...config(), ipam: { ...Object(config()['ipam']), routes } };
    lab.failure('ADD', broken, { id: 'd', pod: lab.pod() });
    expect(elements()).toEqual([]);
  });

  test('is missed by CHECK', () => {
    const pod = lab.pod();
    lab.add(config(), { id: 'd', pod });
    lab.check(config(), { id: 'd', pod });
    lab.host.run('nft', 'flush', 'set', 'bridge', 'weft-spoof', 'sender-addresses-ip6');
    expect(lab.failure('CHECK', config(), { id: 'd', pod }).msg).toContain(
      `port "${portOf('d')}" does not check addresses of senders`,
    );
    lab.del(config(), { id: 'd' });
  });

  test('is made in a table of an earlier release', () => {
    lab.host.run('nft', 'delete', 'table', 'bridge', 'weft-spoof');
    lab.host.run('nft', EARLIER);
    const pod = lab.pod();
    lab.add(config(), { id: 'd', pod });
    expect(elements()).toHaveLength(6);
    const listed = lab.host.run('nft', 'list', 'table', 'bridge', 'weft-spoof');
    expect(listed).toContain('goto tied');
    expect(listed).toContain('veth00000000');
    lab.del(config(), { id: 'd' });
  });

  test('keeps a pod from starting where it cannot be made', () => {
    lab.host.run('nft', 'delete', 'table', 'bridge', 'weft-spoof');
    const { kernel } = lab.node;
    const without = new WeftError('EAFNOSUPPORT', 'no such family');
    const nft = kernel.openNftables();
    const refusing = {
      ...nft,
      commit: (transaction: Parameters<typeof nft.commit>[0]) => {
        if (transaction.table.family === 'bridge') throw without;
        return nft.commit(transaction);
      },
    };
    Object.assign(kernel, { openNftables: () => refusing });
    const pod = lab.pod();
    const { code, msg } = lab.failure('ADD', config(), { id: 'd', pod });
    Object.assign(kernel, { openNftables: () => nft });
    expect({ code, msg }).toEqual({ code: 50, msg: expect.stringContaining('policy') });
    expect(pod.ip<{ ifname: string }[]>('link').map(({ ifname }) => ifname)).toEqual(['lo']);
  });
});

const EARLIER = `table bridge weft-spoof {
  set guarded-ports { typeof iifname; elements = { "veth00000000" } }
  set allowed-senders { typeof iifname . ether saddr; elements = { "veth00000000" . 02:00:00:00:00:01 } }
  chain prerouting {
    type filter hook prerouting priority -300
    iifname @guarded-ports iifname . ether saddr != @allowed-senders drop
  }
}`;
