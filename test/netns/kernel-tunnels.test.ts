import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import type { RouteEvent } from '../../src/kernel/route-monitor.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import type {
  EntryChange,
  ForwardingEntry,
  Neighbour,
  Netns,
  NodeRtnl,
  Route,
  VxlanSpec,
} from '../../src/kernel/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import { type Mac, parseMac } from '../../src/net/mac.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';

const NAME = 'weft-vxlan';
const VXLAN: VxlanSpec = {
  name: NAME,
  mac: parseMac('02:00:00:00:00:01'),
  mtu: 1450,
  vni: 1,
  local: parseIP('192.0.2.1'),
  port: 8472,
};
const MAC = parseMac('02:00:00:00:00:02');
const GATEWAY = parseIP('fe80::2');
const REMOTE = parseIP('192.0.2.2');
const FLAP = 'networks and neighbours go with a link that goes down';

let node: TestNetns;
let netns: Netns;
let rtnl: NodeRtnl;

beforeEach(() => {
  node = createNetns('tunnels');
  netns = netnses.open(node.path);
  rtnl = openRtnl(netns);
});

afterEach(() => {
  rtnl.close();
  netns.close();
  node.remove();
});

function makeVxlan(change: Partial<VxlanSpec> = {}): number {
  expect(rtnl.createVxlan({ ...VXLAN, ...change })).toBe(true);
  return rtnl.link(change.name ?? NAME)?.index ?? 0;
}

const apply = (...changes: readonly EntryChange[]) =>
  rtnl.applyEntries(changes).map((error) => error?.message);
const put = (kind: EntryChange['kind'], entry: object) =>
  // The tests pair kinds and entries themselves.
  ({ action: 'put', kind, entry }) as EntryChange;
const remove = (kind: EntryChange['kind'], entry: object) =>
  ({ action: 'delete', kind, entry }) as EntryChange;

/** What leads to one peer, in the order in which nothing is black-holed. */
function peerEntries(link: number): readonly EntryChange[] {
  const through = { link, gateway: GATEWAY, priority: 201, protocol: 201 };
  return [
    put('neighbour', { link, address: GATEWAY, mac: MAC, isPermanent: true }),
    put('forwarding', { link, mac: MAC, remote: REMOTE }),
    put('route', { ...through, destination: parseCidr('10.244.2.0/24') }),
    put('route', { ...through, destination: parseCidr('fd00:244:2::/64') }),
  ];
}

interface VxlanDetails {
  readonly address: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly ifalias?: string;
  readonly linkinfo: { readonly info_kind: string; readonly info_data: Record<string, unknown> };
}

describe('VXLAN links', () => {
  test('are made raised, without a lower link, and learn nothing', () => {
    makeVxlan({ alias: 'weft tunnel' });
    const [link] = node.ip<VxlanDetails[]>('-d', 'link', 'show', NAME);
    expect(link).toMatchObject({
      address: VXLAN.mac,
      mtu: 1450,
      ifalias: 'weft tunnel',
      flags: expect.arrayContaining(['UP']),
      linkinfo: {
        info_kind: 'vxlan',
        info_data: { id: 1, local: '192.0.2.1', port: 8472, learning: false },
      },
    });
    expect(link?.linkinfo.info_data).not.toHaveProperty('link');
    // NET_ADDR_SET (include/uapi/linux/netdevice.h), which udev leaves alone.
    const file = `/sys/class/net/${NAME}/addr_assign_type`;
    expect(node.run('ip', 'netns', 'exec', node.name, 'cat', file)).toBe('3\n');
  });

  test.each([
    { local: '192.0.2.9', port: 8472, vni: 16_777_215 },
    { local: '2001:db8::9', port: 4789, vni: 0 },
  ])('are read as written: $local $port $vni', ({ local, port, vni }) => {
    makeVxlan({ local: parseIP(local), port, vni });
    const details = { vni, local, port, isLearning: false, lower: undefined };
    expect(rtnl.link(NAME)).toMatchObject({ kind: 'vxlan', vxlan: details, isUp: true, mtu: 1450 });
    expect(rtnl.links().find(({ name }) => name === NAME)?.vxlan).toEqual(details);
  });

  test('that others made are read too', () => {
    node.run('ip', 'link', 'add', 'u0', 'type', 'veth', 'peer', 'name', 'u1');
    const added = ['vxlan', 'id', '7', 'dev', 'u0', 'dstport', '4789', 'local', '192.0.2.1'];
    node.run('ip', 'link', 'add', 'theirs', 'type', ...added);
    const lower = rtnl.link('u0')?.index;
    expect(rtnl.link('theirs')?.vxlan).toEqual({
      ...{ vni: 7, local: '192.0.2.1', port: 4789, isLearning: true },
      lower,
    });
    expect(rtnl.link('u0')?.vxlan).toBeUndefined();
  });

  test('a taken name, network or port is told apart', async () => {
    makeVxlan();
    expect(rtnl.createVxlan(VXLAN)).toBe(false);
    expect(() => rtnl.createVxlan({ ...VXLAN, name: 'other' })).toThrow(
      /^create vxlan other \(network 1, port 8472\): EEXIST/,
    );
    rtnl.deleteLink(rtnl.link(NAME)?.index ?? 0);
    node.start(process.execPath, ['-e', "require('dgram').createSocket('udp4').bind(8472)"]);
    await until('the port is taken', () => node.run('ss', '-Hlnu').includes(':8472'));
    expect(() => rtnl.createVxlan(VXLAN)).toThrow(/port 8472\): EADDRINUSE/);
    expect(rtnl.link(NAME)).toBeUndefined();
  });
});

describe('forwarding entries', () => {
  const shown = () => node.run('bridge', 'fdb', 'show', 'dev', NAME).trim().split('\n').sort();

  test('are put, replaced and deleted', () => {
    const link = makeVxlan();
    const entry: ForwardingEntry = { link, mac: MAC, remote: REMOTE };
    expect(apply(put('forwarding', entry))).toEqual([undefined]);
    expect(shown()).toEqual([`${MAC} dst 192.0.2.2 self permanent`]);
    expect(rtnl.forwardingEntries(link)).toEqual([entry]);
    const moved = { ...entry, remote: parseIP('192.0.2.3') };
    expect(apply(put('forwarding', moved), put('forwarding', moved))).toEqual([
      undefined,
      undefined,
    ]);
    expect(rtnl.forwardingEntries(link)).toEqual([moved]);
    expect(apply(remove('forwarding', moved), remove('forwarding', moved))).toEqual([
      undefined,
      undefined,
    ]);
    expect(rtnl.forwardingEntries(link)).toEqual([]);
  });

  test('of others are listed as they are and can be deleted one by one', () => {
    const link = makeVxlan();
    const other = makeVxlan({ name: 'other', vni: 2 });
    const everyone = parseMac('00:00:00:00:00:00');
    for (const words of [
      ['append', everyone, 'dev', NAME, 'dst', '192.0.2.2'],
      [
        'append',
        everyone,
        'dev',
        NAME,
        'dst',
        '192.0.2.3',
        'port',
        '4789',
        'vni',
        '9',
        'via',
        'lo',
      ],
      ['add', MAC, 'dev', 'other', 'dst', '192.0.2.4', 'static'],
      ['add', '02:00:00:00:00:09', 'dev', NAME, 'dst', '192.0.2.5', 'dynamic'],
    ]) {
      node.run('bridge', 'fdb', ...words);
    }
    const first = { link, mac: everyone, remote: REMOTE };
    const second = { ...first, remote: parseIP('192.0.2.3'), port: 4789, vni: 9, via: 1 };
    expect(rtnl.forwardingEntries(link)).toEqual([first, second]);
    expect(rtnl.forwardingEntries(other)).toEqual([
      { link: other, mac: MAC, remote: parseIP('192.0.2.4') },
    ]);
    expect(apply(remove('forwarding', second))).toEqual([undefined]);
    expect(rtnl.forwardingEntries(link)).toEqual([first]);
  });

  test('of a link that is gone are none, and cannot be put', () => {
    const link = makeVxlan();
    rtnl.deleteLink(link);
    expect(rtnl.forwardingEntries(link)).toEqual([]);
    expect(rtnl.neighbours(link)).toEqual([]);
    const entry = { link, mac: MAC, remote: REMOTE };
    expect(apply(put('forwarding', entry), remove('forwarding', entry))).toEqual([
      expect.stringMatching(/^put forwarding entry 02:.* to 192.0.2.2 on link \d+: ENODEV/),
      undefined,
    ]);
  });
});

describe('neighbours', () => {
  test('are put, replaced and deleted, and those of other links stay out', () => {
    const link = makeVxlan();
    const other = makeVxlan({ name: 'other', vni: 2 });
    const entry: Neighbour = { link, address: GATEWAY, mac: MAC, isPermanent: true };
    apply(put('neighbour', entry), put('neighbour', { ...entry, link: other }));
    expect(node.run('ip', '-6', 'neigh', 'show', 'dev', NAME)).toBe(
      `${GATEWAY} lladdr ${MAC} PERMANENT \n`,
    );
    expect(rtnl.neighbours(link)).toEqual([entry]);
    const moved = { ...entry, mac: parseMac('02:00:00:00:00:03') };
    expect(apply(put('neighbour', moved))).toEqual([undefined]);
    expect(rtnl.neighbours(link)).toEqual([moved]);
    expect(apply(remove('neighbour', moved), remove('neighbour', moved))).toEqual([
      undefined,
      undefined,
    ]);
    expect(rtnl.neighbours(link)).toEqual([]);
  });

  test('of others are told with their state; those without a MAC are none', () => {
    const link = makeVxlan();
    for (const words of [
      ['add', '10.0.0.1', 'lladdr', MAC, 'nud', 'permanent'],
      ['add', '10.0.0.2', 'lladdr', MAC, 'nud', 'reachable'],
      ['add', '10.0.0.3', 'nud', 'incomplete'],
      ['add', '10.0.0.4', 'lladdr', MAC, 'nud', 'noarp'],
      ['add', 'proxy', '10.0.0.5'],
    ]) {
      node.run('ip', 'neigh', ...words, 'dev', NAME);
    }
    expect(rtnl.neighbours(link).map(({ address, isPermanent }) => [address, isPermanent])).toEqual(
      expect.arrayContaining([
        ['10.0.0.1', true],
        ['10.0.0.2', false],
      ]),
    );
    expect(rtnl.neighbours(link)).toHaveLength(2);
  });
});

describe('routes', () => {
  const listed = () =>
    ([4, 6] as const)
      .flatMap((family) => rtnl.routes(family))
      .filter(({ protocol }) => protocol === 201);

  test('what the kernel lists is what was put, and putting it again changes nothing', async () => {
    const link = makeVxlan();
    node.run('ip', 'link', 'add', 'u0', 'type', 'veth', 'peer', 'name', 'u1');
    node.run('ip', 'link', 'set', 'u1', 'up');
    node.run('ip', 'link', 'set', 'u0', 'up');
    node.run('ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'u0');
    node.run('ip', 'addr', 'add', '2001:db8::1/64', 'dev', 'u0', 'nodad');
    node.run('ip', 'addr', 'add', '10.244.1.1/24', 'dev', 'lo');
    node.run('ip', 'addr', 'add', 'fd00:244:1::1/64', 'dev', 'lo', 'nodad');
    const underlay = rtnl.link('u0')?.index ?? 0;
    const ours = { table: 254, priority: 201, protocol: 201, scope: 0 };
    const wanted: readonly Route[] = [
      {
        ...{ ...ours, destination: parseCidr('10.244.2.0/24'), link },
        ...{ gateway: GATEWAY, source: parseIP('10.244.1.1'), mtu: 1400 },
      },
      {
        ...{ ...ours, destination: parseCidr('10.244.3.0/24'), link: underlay },
        ...{ gateway: REMOTE, source: parseIP('10.244.1.1') },
      },
      {
        ...{ ...ours, destination: parseCidr('10.244.4.0/24'), link: underlay },
        ...{ gateway: parseIP('198.51.100.1'), isOnlink: true },
      },
      {
        ...{ ...ours, destination: parseCidr('fd00:244:2::/64'), link },
        ...{ gateway: GATEWAY, source: parseIP('fd00:244:1::1'), mtu: 1400 },
      },
      {
        ...{ ...ours, destination: parseCidr('fd00:244:3::/64'), link: underlay },
        ...{ gateway: parseIP('2001:db8::2'), advmss: 1200 },
      },
      {
        ...{ ...ours, destination: parseCidr('fd00:244:4::/64'), link: underlay },
        ...{ gateway: parseIP('2001:db8:9::2'), isOnlink: true },
      },
    ];
    const changes = wanted.map((entry) => put('route', entry));
    // Twice: of an IPv6 address without DAD too the kernel needs a moment.
    expect(await until('IPv6 is ready', () => apply(...changes).every((text) => !text))).toBe(true);
    expect(listed()).toEqual(wanted);
    expect(apply(...listed().map((entry) => put('route', entry)))).toEqual(
      wanted.map(() => undefined),
    );
    expect(listed()).toEqual(wanted);
    expect(node.run('ip', 'route', 'show', '10.244.2.0/24')).toContain(
      'via inet6 fe80::2 dev weft-vxlan proto 201 src 10.244.1.1 metric 201 mtu 1400',
    );
    // Each by what was listed, twice.
    const gone = listed().flatMap((entry) => [remove('route', entry), remove('route', entry)]);
    expect(apply(...gone)).toEqual(gone.map(() => undefined));
    expect(listed()).toEqual([]);
  });

  test('that `ip` made are read field by field, and put moves one without a gap', () => {
    const link = makeVxlan();
    node.run('ip', 'route', 'add', '10.244.2.0/24', 'dev', NAME, 'metric', '201', 'proto', '201');
    const route = listed()[0];
    expect(route).toEqual({
      ...{ destination: '10.244.2.0/24', link, table: 254, priority: 201 },
      ...{ scope: 253, protocol: 201 },
    });
    const moved = { ...route, gateway: GATEWAY, scope: 0 };
    expect(apply(put('route', moved))).toEqual([undefined]);
    expect(listed()).toEqual([moved]);
  });
});

test('an outcome each, in order: what fails is named, and the rest is done', () => {
  const link = makeVxlan();
  const [neighbour, entry, ...routes] = peerEntries(link);
  const unreachable = {
    ...{ link, priority: 201, destination: parseCidr('10.9.0.0/24') },
    gateway: parseIP('203.0.113.1'),
  };
  const outcomes = apply(
    ...[neighbour, entry].flatMap((change) => change ?? []),
    put('route', unreachable),
    ...routes,
  );
  expect(outcomes).toEqual([
    ...[undefined, undefined],
    expect.stringMatching(
      /^put route 10.9.0.0\/24 via 203.0.113.1 on link "weft-vxlan": (ENETUNREACH|EINVAL)/,
    ),
    ...[undefined, undefined],
  ]);
});

describe('events', () => {
  const textOf = (event: RouteEvent): string => {
    const sign = event.isGone ? '-' : '+';
    switch (event.kind) {
      case 'route':
        return `${sign}${event.route.destination} by ${event.route.protocol}`;
      case 'neighbour':
        return `${sign}${event.entry.address} at ${event.entry.mac}`;
      case 'forwarding':
        return `${sign}${event.entry.mac} to ${event.entry.remote}`;
    }
  };

  function listen() {
    const told: string[] = [];
    const events = openNodeEvents(netns);
    events.onRoutes((changes) => {
      told.push(...(changes === 'overflow' ? [changes] : changes.map(textOf)));
    });
    const links: string[] = [];
    events.onLinks(['link'], (changes) => {
      if (changes === 'overflow') return;
      for (const change of changes) {
        if (change.kind === 'link') links.push(`${change.link.name} ${change.link.isUp}`);
      }
    });
    const hears = (...texts: readonly string[]) =>
      until(`${texts} are told, not only ${told}`, () =>
        texts.every((text) => told.includes(text)),
      );
    return { told, links, hears, close: () => events.close() };
  }

  test('tell of what leads to peers, and of nothing else', async () => {
    const link = makeVxlan();
    node.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
    const { told, hears, close } = listen();
    node.run('ip', 'addr', 'add', '10.0.0.1/24', 'dev', 'lo');
    node.run('ip', 'neigh', 'add', '10.1.0.1', 'lladdr', MAC, 'nud', 'stale', 'dev', NAME);
    node.run('bridge', 'fdb', 'add', '02:00:00:00:00:08', 'dev', 'br0', 'self', 'local');
    apply(...peerEntries(link));
    await hears(
      ...[`+${GATEWAY} at ${MAC}`, `+${MAC} to ${REMOTE}`],
      ...['+10.244.2.0/24 by 201', '+fd00:244:2::/64 by 201'],
    );
    node.run('ip', 'route', 'del', '10.244.2.0/24');
    node.run('ip', '-6', 'route', 'del', 'fd00:244:2::/64');
    node.run('bridge', 'fdb', 'del', MAC, 'dev', NAME, 'dst', REMOTE);
    node.run('ip', 'neigh', 'del', GATEWAY, 'dev', NAME);
    await hears(
      ...['-10.244.2.0/24 by 201', '-fd00:244:2::/64 by 201'],
      ...[`-${MAC} to ${REMOTE}`, `-${GATEWAY} at undefined`],
    );
    expect(told.filter((text) => /10\.1\.0\.1|10\.0\.0\.1|:08/.test(text))).toEqual([]);
    close();
  });

  test('a route of another type in the place of ours is told as gone', async () => {
    const link = makeVxlan();
    apply(...peerEntries(link));
    const { hears, close } = listen();
    node.run('ip', 'route', 'replace', 'blackhole', '10.244.2.0/24', 'metric', '201');
    await hears('-10.244.2.0/24 by undefined');
    close();
  });

  test(`${FLAP}, and links tell it where routes do not`, async () => {
    const link = makeVxlan();
    apply(...peerEntries(link));
    const { links, hears, close } = listen();
    node.run('ip', 'link', 'set', NAME, 'down');
    await hears(`-${GATEWAY} at undefined`, '-fd00:244:2::/64 by 201');
    await until('the link is told', () => links.includes(`${NAME} false`));
    node.run('ip', 'link', 'set', NAME, 'up');
    await until('the link is told', () => links.includes(`${NAME} true`));
    expect(rtnl.routes(4)).toEqual([]);
    expect(rtnl.neighbours(link)).toEqual([]);
    expect(rtnl.forwardingEntries(link)).toHaveLength(1);
    close();
  });

  test('more than the kernel keeps is told as overflow', async () => {
    const link = makeVxlan();
    const { told, hears, close } = listen();
    rtnl.applyEntries(peers(link, 8000));
    await hears('overflow');
    expect(told.filter((text) => text === 'overflow')).toHaveLength(1);
    close();
  });
});

/** Neighbour, forwarding entry and a route of each family, of so many peers. */
function* peers(link: number, count: number): Generator<EntryChange> {
  for (let i = 0; i < count; i++) {
    const [high, low] = [i >> 8, i & 255];
    const hex = [high, low].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
    const mac: Mac = parseMac(`02:00:00:01:${hex}`);
    const gateway = parseIP(`fe80::1:${i.toString(16)}`);
    const through = { link, gateway, priority: 201, protocol: 201 };
    yield put('neighbour', { link, address: gateway, mac, isPermanent: true });
    yield put('forwarding', { link, mac, remote: parseIP(`10.2.${high}.${low}`) });
    yield put('route', { ...through, destination: parseCidr(`10.${100 + high}.${low}.0/24`) });
    yield put('route', { ...through, destination: parseCidr(`fd00:${i.toString(16)}::/64`) });
  }
}

test('5,000 peers are put, listed and deleted', () => {
  const link = makeVxlan();
  const timed = (what: string, action: () => void) => {
    const start = performance.now();
    action();
    console.log(`${what}: ${Math.round(performance.now() - start)} ms`);
  };
  const errors = (changes: Iterable<EntryChange>) =>
    rtnl.applyEntries(changes).filter((error) => error !== undefined);
  timed('put 20,000 entries', () => expect(errors(peers(link, 5000))).toEqual([]));
  const counts = () => [
    ...[rtnl.neighbours(link).length, rtnl.forwardingEntries(link).length],
    ...([4, 6] as const).map(
      (family) => rtnl.routes(family).filter(({ protocol }) => protocol === 201).length,
    ),
  ];
  timed('list them', () => expect(counts()).toEqual([5000, 5000, 5000, 5000]));
  const deletions = () =>
    [...peers(link, 5000)].map((change) => ({ ...change, action: 'delete' }) as const).reverse();
  timed('delete them', () => expect(errors(deletions())).toEqual([]));
  expect(counts()).toEqual([0, 0, 0, 0]);
});
