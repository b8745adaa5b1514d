import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openIpSets } from '../../src/kernel/ipset.ts';
import type { IpSetEntry, IpSetSpec, IpSets } from '../../src/kernel/ipset-types.ts';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { type IPFamily, ipFromBigInt, ipToBigInt, parseIP } from '../../src/net/ip.ts';
import { formatIpSetEntry } from '../../src/netlink/ipset/entry.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { countTurns } from '../support/turns.ts';

let node: TestNetns;
let netns: Netns;
let sets: IpSets;

beforeAll(() => {
  node = createNetns('ipset');
  netns = netnses.open(node.path);
  sets = openIpSets({ netns });
});

afterAll(() => {
  sets.close();
  netns.close();
  node.remove();
});

afterEach(() => {
  // Lists of sets hold on to their members.
  node.run('ipset', 'flush');
  node.run('ipset', 'destroy');
});

const ip = parseIP('10.0.0.1');
const ip6 = parseIP('fd00::1');

type HashSpec = Exclude<IpSetSpec, { readonly type: 'bitmap:port' }>;

function hash(name: string, type: HashSpec['type'], family: IPFamily = 4): HashSpec {
  return { name, type, family, maxElements: 65536, hashSize: 1024 };
}

function ports(name: string, firstPort = 0, lastPort = 65535): IpSetSpec {
  return { name, type: 'bitmap:port', firstPort, lastPort };
}

/** What `ipset` says is in the set. */
function members(name: string): string[] {
  const [, list = ''] = node.run('ipset', 'list', name).split('Members:\n');
  return list.split('\n').filter((line) => line !== '');
}

/** That many addresses from 10.0.0.0 on. */
function addresses(count: number): IpSetEntry[] {
  const first = ipToBigInt(parseIP('10.0.0.0'));
  return Array.from({ length: count }, (_, i) => ({
    type: 'hash:ip',
    ip: ipFromBigInt(4, first + BigInt(i + 1)),
  }));
}

interface SetCase {
  readonly spec: IpSetSpec;
  readonly header: string;
  readonly entries: readonly IpSetEntry[];
  readonly want: readonly string[];
}

const CASES: readonly SetCase[] = [
  {
    spec: hash('a', 'hash:ip'),
    header: 'family inet hashsize 1024 maxelem 65536',
    entries: [
      { type: 'hash:ip', ip },
      { type: 'hash:ip', ip: parseIP('10.0.0.2') },
    ],
    want: ['10.0.0.1', '10.0.0.2'],
  },
  {
    spec: { ...hash('a', 'hash:ip', 6), maxElements: 7, hashSize: 64 },
    header: 'family inet6 hashsize 64 maxelem 7',
    entries: [{ type: 'hash:ip', ip: ip6 }],
    want: ['fd00::1'],
  },
  {
    spec: hash('a', 'hash:ip,port'),
    header: 'family inet hashsize 1024 maxelem 65536',
    entries: [
      { type: 'hash:ip,port', ip, protocol: 'tcp', port: 80 },
      { type: 'hash:ip,port', ip, protocol: 'udp', port: 80 },
      { type: 'hash:ip,port', ip, protocol: 'sctp', port: 65535 },
    ],
    want: ['10.0.0.1,sctp:65535', '10.0.0.1,tcp:80', '10.0.0.1,udp:80'],
  },
  {
    spec: hash('a', 'hash:ip,port,ip', 6),
    header: 'family inet6 hashsize 1024 maxelem 65536',
    entries: [{ type: 'hash:ip,port,ip', ip: ip6, protocol: 'tcp', port: 80, ip2: ip6 }],
    want: ['fd00::1,tcp:80,fd00::1'],
  },
  {
    spec: hash('a', 'hash:ip,port,net'),
    header: 'family inet hashsize 1024 maxelem 65536',
    entries: ['10.1.0.0/16', '10.1.0.1/32'].map((net) => ({
      ...({ type: 'hash:ip,port,net', ip, protocol: 'tcp', port: 80 } as const),
      net: parseCidr(net),
    })),
    want: ['10.0.0.1,tcp:80,10.1.0.0/16', '10.0.0.1,tcp:80,10.1.0.1'],
  },
  {
    spec: ports('a'),
    header: 'range 0-65535',
    entries: [
      { type: 'bitmap:port', port: 30000 },
      { type: 'bitmap:port', port: 0 },
    ],
    want: ['0', '30000'],
  },
];

describe.each(CASES)('$spec.type, $header', ({ spec, header, entries, want }) => {
  test('ipset shows what was made and added', async () => {
    sets.create(spec);
    await sets.add('a', entries);
    expect(node.run('ipset', 'list', 'a')).toContain(`Type: ${spec.type}\n`);
    expect(node.run('ipset', 'list', 'a')).toContain(`Header: ${header}\n`);
    expect(members('a').sort()).toEqual(want);
  });

  test('what ipset made and added is read', async () => {
    const family =
      spec.type === 'bitmap:port' ? [] : ['family', spec.family === 4 ? 'inet' : 'inet6'];
    const range = spec.type === 'bitmap:port' ? ['range', '0-65535'] : family;
    node.run('ipset', 'create', 'a', spec.type, ...range);
    for (const entry of want) node.run('ipset', 'add', 'a', entry);
    const read = await sets.entries('a');
    expect(read.map(formatIpSetEntry).sort()).toEqual(want);
    expect(sets.set('a')).toMatchObject({ name: 'a', type: spec.type, elements: want.length });
  });

  test('adding, deleting and making it again is no error; what is deleted is gone', async () => {
    sets.create(spec);
    await sets.add('a', entries);
    sets.create(spec);
    await sets.add('a', entries);
    expect(sets.set('a')?.elements).toBe(entries.length);
    await sets.delete('a', entries);
    await sets.delete('a', entries);
    expect(await sets.entries('a')).toEqual([]);
  });
});

describe('sets of others', () => {
  test('are listed with what is known of them', () => {
    node.run('ipset', 'create', 'nets', 'hash:net', 'timeout', '60', 'comment');
    node.run('ipset', 'create', 'list', 'list:set');
    node.run('ipset', 'add', 'list', 'nets');
    const seen = sets.sets().map(({ name, type, references }) => ({ name, type, references }));
    expect(seen).toEqual([
      { name: 'nets', type: 'hash:net', references: 1 },
      { name: 'list', type: 'list:set', references: 0 },
    ]);
  });

  test('entries of an unknown type are an error, not wrong entries', async () => {
    node.run('ipset', 'create', 'nets', 'hash:net');
    await expect(sets.entries('nets')).rejects.toThrow('its type is hash:net');
  });

  test('a protocol of no name can be read and deleted', async () => {
    sets.create(hash('a', 'hash:ip,port'));
    node.run('ipset', 'add', 'a', '10.0.0.1,udplite:9');
    const strange = await sets.entries('a');
    expect(strange).toEqual([{ type: 'hash:ip,port', ip, protocol: 136, port: 9 }]);
    await sets.delete('a', strange);
    expect(members('a')).toEqual([]);
  });
});

describe('refusals', () => {
  test.each<{ name: string; there: readonly string[]; spec: IpSetSpec }>([
    { name: 'type', there: ['hash:net'], spec: hash('a', 'hash:ip') },
    { name: 'family', there: ['hash:ip', 'family', 'inet6'], spec: hash('a', 'hash:ip') },
    { name: 'size', there: ['hash:ip', 'maxelem', '9'], spec: hash('a', 'hash:ip') },
    { name: 'timeout', there: ['hash:ip', 'timeout', '9'], spec: hash('a', 'hash:ip') },
    { name: 'range', there: ['bitmap:port', 'range', '0-9'], spec: ports('a') },
  ])('a set of the same name and another $name stays', ({ there, spec }) => {
    node.run('ipset', 'create', 'a', ...there);
    const before = node.run('ipset', 'save', 'a');
    expect(() => sets.create(spec)).toThrow(
      expect.objectContaining({ name: 'IpSetError', code: 'EEXIST', set: 'a' }),
    );
    expect(node.run('ipset', 'save', 'a')).toBe(before);
  });

  test('names the entry that does not fit, wherever it stands', async () => {
    sets.create(ports('a', 1, 40000));
    const good = Array.from(
      { length: 700 },
      (_, i) => ({ type: 'bitmap:port', port: i + 1 }) as const,
    );
    await expect(
      sets.add('a', [...good, { type: 'bitmap:port', port: 50000 }]),
    ).rejects.toMatchObject({
      code: 'IPSET_ERR_BITMAP_RANGE',
      message: expect.stringContaining('add 50000 of set a'),
    });
    expect(sets.set('a')?.elements).toBe(700);
  });

  test('a full set', async () => {
    sets.create({ ...hash('a', 'hash:ip'), maxElements: 2 });
    await expect(sets.add('a', addresses(100))).rejects.toMatchObject({
      code: 'IPSET_ERR_HASH_FULL',
      message: expect.stringContaining('maxElements'),
    });
  });

  test('an address of the other family', async () => {
    sets.create(hash('a', 'hash:ip'));
    await expect(sets.add('a', [{ type: 'hash:ip', ip: ip6 }])).rejects.toMatchObject({
      code: 'IPSET_ERR_PROTOCOL',
      message: expect.stringContaining('add fd00::1 of set a'),
    });
  });

  test('a set that is not there', async () => {
    expect(sets.set('a')).toBeUndefined();
    expect(sets.destroy('a')).toBe(false);
    await expect(sets.entries('a')).rejects.toMatchObject({ code: 'ENOENT', set: 'a' });
    await expect(sets.add('a', addresses(1))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a name of nothing is no wildcard', () => {
    sets.create(hash('a', 'hash:ip'));
    expect(sets.destroy('')).toBe(false);
    expect(sets.set('a')).toBeDefined();
  });

  test('a set that a rule uses cannot be destroyed, but swapped under the rule', async () => {
    sets.create(hash('a', 'hash:ip'));
    sets.create(hash('b', 'hash:ip'));
    await sets.add('b', [{ type: 'hash:ip', ip }]);
    node.run('iptables', '-A', 'INPUT', '-m', 'set', '--match-set', 'a', 'src');
    try {
      expect(() => sets.destroy('a')).toThrow(expect.objectContaining({ code: 'IPSET_ERR_BUSY' }));
      sets.swap('a', 'b');
      expect(sets.set('a')).toMatchObject({ elements: 1, references: 1 });
      expect(sets.destroy('b')).toBe(true);
    } finally {
      node.run('iptables', '-F', 'INPUT');
    }
  });

  test('sets of different families are not swapped', () => {
    sets.create(hash('a', 'hash:ip'));
    sets.create(hash('b', 'hash:ip', 6));
    expect(() => sets.swap('a', 'b')).toThrow(
      expect.objectContaining({ code: 'IPSET_ERR_TYPE_MISMATCH' }),
    );
  });
});

test('every type that is used is there, in both families', () => {
  for (const { spec } of CASES)
    for (const family of [4, 6] as const) sets.requireType(spec.type, family);
});

test('many entries: all of them, and the event loop has turns meanwhile', async () => {
  const many = addresses(20_000);
  sets.create(hash('a', 'hash:ip'));
  const added = await countTurns(() => sets.add('a', many));
  expect(added.turns).toBeGreaterThan(20);
  const { result, turns } = await countTurns(() => sets.entries('a'));
  expect(turns).toBeGreaterThan(3);
  expect(new Set(result.map(formatIpSetEntry))).toEqual(new Set(many.map(formatIpSetEntry)));
  await sets.delete('a', many.slice(5));
  expect(sets.set('a')?.elements).toBe(5);
});

test('sets belong to their namespace', () => {
  sets.create(hash('a', 'hash:ip'));
  const own = openIpSets();
  try {
    expect(own.sets().map(({ name }) => name)).not.toContain('a');
  } finally {
    own.close();
  }
});
