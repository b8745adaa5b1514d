/** Table `inet weft-fabric` in the kernel: its listing, its life, and what it does to packets. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DroppedPackets } from '../../src/fabric/table/fabric-table.ts';
import type { FabricTableFacts } from '../../src/fabric/table/facts.ts';
import { masqueradedFamilies } from '../../src/fabric/table/networks.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import type { TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { probe } from '../support/workloads.ts';
import {
  createFabricTableLab,
  FACTS,
  type FabricTableLab,
  NODES,
  type OpenedTable,
  OUTSIDE,
  OUTSIDE6,
  openTable,
  PORT,
  TUNNEL_PORT,
} from './fabric-table-lab.ts';

const GOLDEN = new URL('../golden/fabric/table.nft', import.meta.url);

let lab: FabricTableLab;
let first: OpenedTable;
let second: OpenedTable;

beforeAll(async () => {
  lab = await createFabricTableLab();
}, 60_000);
afterAll(() => lab.remove());

const FACTS_OF_SECOND: FabricTableFacts = {
  ...FACTS,
  tunnel: {
    port: TUNNEL_PORT,
    peers: ['192.0.2.1', '2001:db8::1'].map(parseIP),
    own: ['192.0.2.2', '2001:db8::2'].map(parseIP),
  },
  podCIDRs: ['10.244.2.0/24', 'fd00:244:2::/64'].map(parseCidr),
};

beforeEach(() => {
  first = openTable(lab.n1);
  second = openTable(lab.n2);
  first.table.sync(FACTS);
  second.table.sync(FACTS_OF_SECOND);
});

afterEach(async () => {
  for (const { table, close } of [first, second]) {
    table.remove();
    await close();
  }
  lab.n1.run('conntrack', '-F');
});

const OWN = FACTS.tunnel?.own ?? [];
const list = () => lab.n1.run('nft', 'list', 'table', 'inet', 'weft-fabric');
const nft = (text: string) => lab.n1.run('nft', text);

/** The address that a server has seen, or the error. */
async function seen(
  from: TestNetns,
  host: string,
  protocol: 'tcp' | 'udp' = 'tcp',
  timeoutMs = 10_000,
): Promise<string | undefined> {
  const { peers, errors } = await probe(from.path, { host, port: PORT, protocol, timeoutMs });
  return Object.keys(peers)[0] ?? Object.keys(errors)[0];
}

/** Sends three datagrams from an address and port of a namespace; gives how many were answered in time. */
function answered(
  from: TestNetns,
  source: readonly [address: string, port: number],
  target: readonly [host: string, port: number],
  waitMs = 5_000,
): number {
  const script = `
    const socket = require('node:dgram').createSocket('${target[0].includes(':') ? 'udp6' : 'udp4'}');
    let [count, sent] = [0, 0];
    const end = () => { process.stdout.write(String(count)); process.exit(0); };
    socket.on('message', () => { if (++count === 3) end(); });
    socket.bind(${source[1]}, '${source[0]}', () => {
      const next = () => { if (++sent === 3) setTimeout(end, ${waitMs}); };
      for (let i = 0; i < 3; i++) socket.send('?', ${target[1]}, '${target[0]}', next);
    });`;
  return Number(from.run(process.execPath, '-e', script));
}

/** Sends them and waits for no answer. */
function send(from: TestNetns, source: string, host: string, port: number): void {
  answered(from, [source, 0], [host, port], 0);
}

/** The first may wait for a neighbour's hardware address. */
async function untilDropped(wanted: DroppedPackets): Promise<void> {
  await until('all are dropped', () => isDeepStrictEqual(first.table.dropped(), wanted));
}

const tunnelEntries = () =>
  lab.n1
    .run('conntrack', '-L')
    .split('\n')
    .filter((line) => line.includes(`dport=${TUNNEL_PORT}`));

test('where the table is there, elements of thousands of peers are made in turns before it is compared', async () => {
  const peers = Array.from({ length: 5_000 }, (_, i) => parseIP(`10.9.${i >> 8}.${i & 255}`));
  const facts = { ...FACTS, tunnel: { port: TUNNEL_PORT, peers, own: FACTS.tunnel?.own ?? [] } };
  let [turns, isMade] = [0, false];
  const making = second.table.begin(facts).then(() => {
    isMade = true;
  });
  while (!isMade) {
    turns += 1;
    await nextTurn();
  }
  await making;
  expect(turns).toBeGreaterThan(2);
  expect(lab.n2.run('nft', 'list', 'table', 'inet', 'weft-fabric')).not.toContain('10.9.0.1');
});

describe('the table', () => {
  test('is listed by nft as nft would have made it', () => {
    const text = list().replaceAll(/weft-fabric|masquerade of pods [0-9a-f]{8}/g, (word) =>
      word.replace(/ [0-9a-f]{8}$/, ' DIGEST'),
    );
    if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(GOLDEN, text);
    expect(text).toBe(readFileSync(GOLDEN, 'utf8'));
    const directory = mkdtempSync(join(tmpdir(), 'weft-fabric-table-'));
    const file = join(directory, 'table.nft');
    writeFileSync(file, list());
    lab.p1.run('nft', '--check', '--file', file);
    rmSync(directory, { recursive: true });
  });

  test('is not written while nothing has changed, and by elements when something has', () => {
    const before = first.generation();
    expect(first.table.sync({ ...FACTS })).toBe(false);
    expect(first.generation()).toBe(before);
    const peers = ['192.0.2.2', '192.0.2.3'].map(parseIP);
    expect(first.table.sync({ ...FACTS, tunnel: { port: TUNNEL_PORT, peers, own: OWN } })).toBe(
      true,
    );
    expect(first.generation()).toBe(before + 1);
    expect(list()).toContain('elements = { 192.0.2.2, 192.0.2.3 }');
  });

  test('takes networks that lie in each other, in every order', () => {
    const choices = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.128.0/17', '10.2.0.0/16'];
    for (let bits = 0; bits < 1 << choices.length; bits++) {
      const direct = choices.filter((_, i) => ((bits * 13) >> i) & 1).map(parseCidr);
      first.table.sync({ ...FACTS, masquerade: { direct, families: [4, 6] } });
    }
    first.table.sync(FACTS);
    first.table.resync();
    expect(first.table.sync(FACTS)).toBe(false);
  });

  test('keeps what it has while there may be more, and is whole when there is not', () => {
    const facts = {
      ...FACTS,
      tunnel: { port: TUNNEL_PORT, peers: [parseIP('192.0.2.3')], own: OWN },
    };
    first.table.sync({ ...facts, isPartial: true });
    expect(list()).toContain('elements = { 192.0.2.2, 192.0.2.3 }');
    first.table.resync();
    expect(first.table.sync({ ...facts, isPartial: true })).toBe(false);
    first.table.sync(facts);
    expect(list()).toContain('elements = { 192.0.2.3 }');
    expect(list()).not.toContain('2001:db8::2');
  });

  test('of another make serves until all is known', () => {
    nft('add chain inet weft-fabric mine { type filter hook input priority 5; }');
    first.table.resync();
    expect(first.table.sync({ ...FACTS, isPartial: true })).toBe(false);
    expect(list()).toContain('mine');
    expect(first.table.sync(FACTS)).toBe(true);
    expect(list()).not.toContain('mine');
  });

  test('is adopted with its counters', async () => {
    send(lab.outside, OUTSIDE, NODES[0], TUNNEL_PORT);
    await untilDropped({ fromPods: 0n, fromStrangers: 3n, probes: 0n });
    await first.close();
    first = openTable(lab.n1);
    const before = first.generation();
    expect(first.table.sync(FACTS)).toBe(false);
    expect(first.generation()).toBe(before);
    expect(first.table.dropped()).toEqual({ fromPods: 0n, fromStrangers: 3n, probes: 0n });
  });

  test('of another make is replaced, one without table made whole', () => {
    nft('add chain inet weft-fabric mine { type filter hook input priority 5; }');
    first.table.resync();
    expect(first.table.sync(FACTS)).toBe(true);
    expect(list()).not.toContain('mine');
    first.table.remove();
    first.table.remove();
    expect(lab.n1.run('nft', 'list', 'tables')).not.toContain('weft-fabric');
    expect(first.table.dropped()).toEqual({ fromPods: 0n, fromStrangers: 0n, probes: 0n });
    expect(first.table.sync(FACTS)).toBe(true);
  });

  test('another tunnel port and no tunnel are changes of elements', () => {
    const before = first.generation();
    first.table.sync({ ...FACTS, tunnel: undefined });
    expect(list()).not.toContain('192.0.2.2');
    first.table.sync({ ...FACTS, tunnel: { port: 4789, peers: [], own: OWN } });
    expect(list()).toContain('elements = { 4789 }');
    expect(first.generation()).toBe(before + 2);
  });
});

describe('what somebody changes is put right within a second', () => {
  test.each([
    ['an element is deleted', 'delete element inet weft-fabric peers-ip { 192.0.2.2 }'],
    ['an element is added', 'add element inet weft-fabric direct-ip { 198.51.100.0/24 }'],
    ['a rule is deleted', 'flush chain inet weft-fabric masquerade-pods'],
    ['a rule is added', 'add rule inet weft-fabric postrouting accept'],
    ['a chain is added', 'add chain inet weft-fabric stray; add rule inet weft-fabric stray drop'],
    ['a set is emptied', 'flush set inet weft-fabric masqueraded-ip'],
    ['the table is put to sleep', 'add table inet weft-fabric { flags dormant; }'],
    ['the table is deleted', 'delete table inet weft-fabric'],
    ['everything is deleted', 'flush ruleset'],
  ])('%s', async (_, command) => {
    const wanted = list();
    nft(command);
    const changedAt = performance.now();
    await until('the table is as it was', () => list() === wanted);
    expect(performance.now() - changedAt).toBeLessThan(1_000);
    await until('it is told', () => first.repairs.length === 1);
    expect(first.repairs).toEqual([['nft']]);
    const parts = first.table.auditedParts();
    expect(await Promise.all(parts.map(({ look }) => look()))).toEqual([0]);
  });

  test('after it is removed nothing comes back', async () => {
    first.table.remove();
    nft('add table inet weft-fabric');
    nft('delete table inet weft-fabric');
    expect(first.table.auditedParts()).toEqual([]);
    second.table.resync();
    expect(lab.n1.run('nft', 'list', 'tables')).toBe('');
  });
});

describe('masquerade', () => {
  test.each(['tcp', 'udp'] as const)('outside sees the node over %s', async (protocol) => {
    expect(await seen(lab.p1, OUTSIDE, protocol)).toBe(NODES[0]);
    expect(await seen(lab.p1, OUTSIDE6, protocol)).toBe('2001:db8::1');
  });

  test.each(['tcp', 'udp'] as const)('pods see pods over %s', async (protocol) => {
    expect(await seen(lab.p1, '10.244.2.10', protocol)).toBe('10.244.1.10');
    expect(await seen(lab.p1, 'fd00:244:2::10', protocol)).toBe('fd00:244:1::10');
    expect(await seen(lab.p2, '10.244.1.10', protocol)).toBe('10.244.2.10');
  });

  test('the own node sees pods, pods see the own node', async () => {
    expect(await seen(lab.p1, NODES[0])).toBe('10.244.1.10');
    expect(await seen(lab.p1, '2001:db8::1')).toBe('fd00:244:1::10');
    expect(await seen(lab.n1, '10.244.1.10')).toBe('10.244.1.1');
  });

  test('an exception is one, and its neighbours are none', async () => {
    const direct = ['192.0.2.254/32', '10.244.0.0/16'].map(parseCidr);
    first.table.sync({ ...FACTS, masquerade: { direct, families: [4] } });
    expect(await seen(lab.p1, OUTSIDE)).toBe('10.244.1.10');
    expect(await seen(lab.p1, OUTSIDE6)).toBe('fd00:244:1::10');
    expect(await seen(lab.p1, NODES[1])).toBe(NODES[0]);
  });

  test('global IPv6 addresses are kept', async () => {
    const podCIDRs = ['10.244.1.0/24', '2001:db8:1::/64'].map(parseCidr);
    const families = masqueradedFamilies(podCIDRs, 'ula');
    first.table.sync({ ...FACTS, podCIDRs, masquerade: { direct: [], families } });
    const viaGlobal = ['-6', 'route', 'replace', '2001:db8::/64', 'via', '2001:db8:1::1'];
    lab.p1.run('ip', ...viaGlobal, 'src', '2001:db8:1::10');
    expect(await seen(lab.p1, OUTSIDE6)).toBe('2001:db8:1::10');
    first.table.sync({ ...FACTS, podCIDRs, masquerade: { direct: [], families: [4, 6] } });
    expect(await seen(lab.p1, OUTSIDE6)).toBe('2001:db8::1');
    lab.p1.run('ip', ...viaGlobal, 'src', 'fd00:244:1::10');
  });

  test('what Services masquerade is left to them, whatever other bits are set', async () => {
    nft('table inet marks { chain c { type filter hook prerouting priority -150; }; }');
    nft('add rule inet marks c iifname cni0 meta mark set 0x24001');
    expect(await seen(lab.p1, OUTSIDE)).toBe('10.244.1.10');
    nft('flush chain inet marks c');
    nft('add rule inet marks c iifname cni0 meta mark set 0x28001');
    expect(await seen(lab.p1, OUTSIDE)).toBe(NODES[0]);
    nft('delete table inet marks');
  });

  test("UDP of a pod from the tunnel's port is answered", () => {
    const source = ['10.244.1.10', TUNNEL_PORT] as const;
    expect(answered(lab.p1, source, [OUTSIDE, PORT])).toBe(3);
    expect(answered(lab.p1, source, [NODES[1], PORT])).toBe(3);
    first.table.sync({ ...FACTS, masquerade: undefined });
    expect(answered(lab.p1, source, [OUTSIDE, PORT])).toBe(3);
  });

  test('1,000 connections through stop and start all come from the node', async () => {
    let isOver = false;
    const connections = probe(lab.p1.path, { host: OUTSIDE, port: PORT, count: 1_000 }).finally(
      () => {
        isOver = true;
      },
    );
    let starts = 0;
    while (!isOver) {
      await first.close();
      first = openTable(lab.n1);
      expect(first.table.sync(FACTS)).toBe(false);
      starts += 1;
      await nextTurn();
    }
    expect(starts).toBeGreaterThan(1);
    expect(await connections).toMatchObject({ peers: { [NODES[0]]: 1_000 }, errors: {} });
  }, 60_000);
});

describe('the tunnel', () => {
  test('meets no connection tracking and no NAT, whatever mark the inner packet has', async () => {
    nft('table inet marks { chain c { type filter hook prerouting priority -150; }; }');
    nft('add rule inet marks c iifname cni0 meta mark set 0x4000');
    nft('add chain inet marks nat { type nat hook postrouting priority 100; }');
    nft('add rule inet marks nat oifname eth0 meta mark 0x4000 masquerade fully-random');
    nft('add chain inet marks out { type filter hook postrouting priority 300; }');
    nft(`add rule inet marks out udp dport ${TUNNEL_PORT} ct state != untracked counter`);
    const { peers } = await probe(lab.p1.path, { host: '10.244.2.10', port: PORT, count: 50 });
    expect(peers).toEqual({ '10.244.1.10': 50 });
    expect(tunnelEntries()).toEqual([]);
    expect(nft('list chain inet marks out')).toContain('packets 0');
    first.table.sync({ ...FACTS, tunnel: undefined });
    await probe(lab.p1.path, { host: '10.244.2.10', port: PORT });
    expect(nft('list chain inet marks out')).not.toContain('packets 0');
    nft('delete table inet marks');
    expect(first.table.dropped()).toEqual({ fromPods: 0n, fromStrangers: 0n, probes: 0n });
  });

  test('is closed to strangers, and open to peers from the moment that they are one', async () => {
    const peers = [parseIP('2001:db8::2')];
    first.table.sync({ ...FACTS, tunnel: { port: TUNNEL_PORT, peers, own: OWN } });
    expect(await seen(lab.p2, '10.244.1.10', 'tcp', 1_000)).toBe('TIMEOUT');
    const { fromStrangers, fromPods } = first.table.dropped();
    expect(fromStrangers).toBeGreaterThan(0n);
    expect(fromPods).toBe(0n);
    expect(tunnelEntries()).toEqual([]);
    first.table.sync(FACTS);
    expect(await seen(lab.p2, '10.244.1.10')).toBe('10.244.2.10');
  });

  test.each([
    ['to its own node', NODES[0]],
    ['to a peer, which would see the node', NODES[1]],
    ['to a peer over IPv6', '2001:db8::2'],
    ['to its own node over IPv6', '2001:db8::1'],
  ])('takes nothing from a pod %s', async (_, host) => {
    const source = host.includes(':') ? 'fd00:244:1::10' : '10.244.1.10';
    send(lab.p1, source, host, TUNNEL_PORT);
    await untilDropped({ fromPods: 3n, fromStrangers: 0n, probes: 0n });
    expect(second.table.dropped()).toEqual({ fromPods: 0n, fromStrangers: 0n, probes: 0n });
  });

  test.each([
    ['its own node, with the address of a peer', NODES[0], '192.0.2.2'],
    ["a peer, with a stranger's address", NODES[1], '192.0.2.3'],
    ['its own node over IPv6, with the address of a peer', '2001:db8::1', '2001:db8::2'],
    ["a peer over IPv6, with a stranger's address", '2001:db8::2', '2001:db8::3'],
    ['a peer over IPv6, with the address of a pod of it', '2001:db8::2', 'fd00:244:2::10'],
  ])('takes nothing from a pod for %s', async (_, host, source) => {
    const address = `${source}/${source.includes(':') ? 128 : 32}`;
    lab.p1.run('ip', 'addr', 'add', address, 'dev', 'lo');
    send(lab.p1, source, host, TUNNEL_PORT);
    lab.p1.run('ip', 'addr', 'del', address, 'dev', 'lo');
    await untilDropped({ fromPods: 3n, fromStrangers: 0n, probes: 0n });
  });

  test('takes nothing from a pod of a peer that has the peer’s address', async () => {
    lab.n2.run('ip', 'addr', 'add', '203.0.113.2/32', 'dev', 'lo');
    lab.n1.run('ip', 'route', 'add', '203.0.113.2/32', 'via', NODES[1]);
    const { fromStrangers } = second.table.dropped();
    send(lab.p1, '10.244.1.10', '203.0.113.2', TUNNEL_PORT);
    await until('it is dropped', () => second.table.dropped().fromStrangers >= fromStrangers + 3n);
    lab.n1.run('ip', 'route', 'del', '203.0.113.2/32');
    lab.n2.run('ip', 'addr', 'del', '203.0.113.2/32', 'dev', 'lo');
  });

  test('takes nothing from a pod by way of a Service', async () => {
    nft('table ip service { chain c { type nat hook prerouting priority -100; }; }');
    const services = [`172.30.0.1 : ${NODES[1]}`, `172.30.0.2 : ${NODES[0]}`].join(', ');
    nft(`add rule ip service c udp dport 53 dnat to ip daddr map { ${services} }:${TUNNEL_PORT}`);
    send(lab.p1, '10.244.1.10', '172.30.0.1', 53);
    send(lab.p1, '10.244.1.10', '172.30.0.2', 53);
    await untilDropped({ fromPods: 6n, fromStrangers: 0n, probes: 0n });
    nft('delete table ip service');
  });

  test('leaves the same port of others alone', () => {
    const { n1, outside } = lab;
    outside.run('ip', 'addr', 'add', '198.51.100.9/32', 'dev', 'lo');
    n1.run('ip', 'route', 'add', '198.51.100.9/32', 'via', OUTSIDE);
    const script = `
      const socket = require('node:dgram').createSocket('udp4');
      socket.on('message', (_, peer) => socket.send('!', peer.port, peer.address));
      socket.bind(${TUNNEL_PORT}, '198.51.100.9');`;
    const echo = outside.start(process.execPath, ['-e', script]);
    return until('the pod is answered', () => {
      return answered(lab.p1, ['10.244.1.10', 0], ['198.51.100.9', TUNNEL_PORT], 1_000) === 3;
    }).finally(() => {
      echo.kill('SIGKILL');
      outside.run('ip', 'addr', 'del', '198.51.100.9/32', 'dev', 'lo');
      n1.run('ip', 'route', 'del', '198.51.100.9/32');
    });
  });
});
