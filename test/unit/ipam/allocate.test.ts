import { mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { allocate, release, reservedAddresses } from '../../../src/ipam/allocate.ts';
import { buildRangeSets, type RangesConfig } from '../../../src/ipam/range-config.ts';
import { type ReservationStore, storeDirectory } from '../../../src/ipam/store.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { filesOf, openStore, owner, temporaryDataDirectory } from './support.ts';

// Every case runs on a store that reads the directory each time and on one that remembers it.
const kinds = [{ keepsIndex: false }, { keepsIndex: true }];

function setUp(ipam: RangesConfig, kind: { keepsIndex: boolean }) {
  const directory = storeDirectory(temporaryDataDirectory(), 'n');
  const store = openStore(directory, kind);
  const sets = buildRangeSets('1.0.0', ipam);
  const add = (containerId: string, ...requested: string[]) =>
    allocate(sets, store, { ...owner(containerId), requested: requested.map(parseIP) }).map(
      ({ address }) => address,
    );
  return { directory, store, sets, add };
}

function put(directory: string, files: Record<string, string>): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
}

function listed(store: ReservationStore): string[] {
  return store.list().map(({ address }) => address);
}

const dual: RangesConfig = { ranges: [[{ subnet: '10.0.0.0/24' }], [{ subnet: 'fd00::/64' }]] };

describe.each(kinds)('keepsIndex $keepsIndex', (kind) => {
  test('[107] ADD and DEL write and remove the exact files, bytes and modes', () => {
    const { directory, store, sets } = setUp(dual, kind);
    const umask = process.umask(0o077);
    try {
      expect(allocate(sets, store, owner('  c1 \n'))).toEqual([
        { address: '10.0.0.2/24', gateway: '10.0.0.1' },
        { address: 'fd00::2/64', gateway: 'fd00::1' },
      ]);
    } finally {
      process.umask(umask);
    }
    expect(filesOf(directory)).toEqual({
      '10.0.0.2': 'c1\r\neth0',
      'fd00::2': 'c1\r\neth0',
      'last_reserved_ip.0': '10.0.0.2',
      'last_reserved_ip.1': 'fd00::2',
    });
    const mode = (name: string) => (statSync(join(directory, name)).mode & 0o777).toString(8);
    expect(['', 'lock', '10.0.0.2', 'last_reserved_ip.1'].map(mode)).toEqual([
      '755',
      '750',
      '600',
      '600',
    ]);
    expect(release(store, owner('c1'))).toEqual(['10.0.0.2', 'fd00::2']);
    expect(filesOf(directory)).toEqual({
      'last_reserved_ip.0': '10.0.0.2',
      'last_reserved_ip.1': 'fd00::2',
    });
  });

  test('[104] a released address is not the next one given', () => {
    const { store, add } = setUp({ subnet: '10.0.0.0/29' }, kind);
    expect(add('c1')).toEqual(['10.0.0.2/29']);
    release(store, owner('c1'));
    expect(add('c1')).toEqual(['10.0.0.3/29']);
  });

  test('[102] only the last address is free', () => {
    const { directory, add } = setUp({ subnet: '10.0.0.0/29' }, kind);
    put(directory, {
      '10.0.0.2': 'x\r\neth0',
      '10.0.0.3': 'x\r\neth0',
      '10.0.0.4': 'x\r\neth0',
      '10.0.0.6': 'x\r\neth0',
      'last_reserved_ip.0': '10.0.0.5',
    });
    expect(add('c1')).toEqual(['10.0.0.5/29']);
  });

  test('a last address with a newline or of another network starts from the beginning', () => {
    const { directory, add } = setUp({ subnet: '10.0.0.0/29' }, kind);
    put(directory, { 'last_reserved_ip.0': '10.0.0.4\n' });
    expect(add('c1')).toEqual(['10.0.0.2/29']);
    put(directory, { 'last_reserved_ip.0': '10.9.0.4' });
    expect(add('c2')).toEqual(['10.0.0.3/29']);
  });

  test('[105] requested addresses', () => {
    const { directory, add } = setUp(
      { subnet: '10.0.0.0/24', rangeStart: '10.0.0.5', rangeEnd: '10.0.0.9', gateway: '10.0.0.6' },
      kind,
    );
    expect(add('c1', '10.0.0.7')).toEqual(['10.0.0.7/24']);
    expect(filesOf(directory)['last_reserved_ip.0']).toBe('10.0.0.7');
    expect(() => add('c2', '10.0.0.7')).toThrow(
      expect.objectContaining({
        code: 'BUSY',
        message:
          'failed to allocate for range 0: requested IP address 10.0.0.7 is not available in range set 10.0.0.5-10.0.0.9',
      }),
    );
    expect(() => add('c2', '10.0.0.6')).toThrow(
      "failed to allocate for range 0: requested ip 10.0.0.6 is subnet's gateway",
    );
    expect(() => add('c2', '10.0.0.10')).toThrow('failed to allocate all requested IPs: 10.0.0.10');
    expect(add('c2')).toEqual(['10.0.0.9/24']);
  });

  test('[114] custom addresses of several families; an unused one rolls everything back', () => {
    const { store, add } = setUp(dual, kind);
    expect(add('c1', 'fd00::77', '10.0.0.77')).toEqual(['10.0.0.77/24', 'fd00::77/64']);
    expect(() => add('c2', '10.0.0.78', '10.0.0.79', '203.0.113.1')).toThrow(
      'failed to allocate all requested IPs: 10.0.0.79 203.0.113.1',
    );
    expect(listed(store).sort()).toEqual(['10.0.0.77', 'fd00::77']);
  });

  test('[106] exhaustion of one range and of several', () => {
    const single = setUp({ subnet: '10.0.0.0/30' }, kind);
    single.add('c1');
    expect(() => single.add('c2')).toThrow(
      expect.objectContaining({
        code: 'BUSY',
        message:
          'failed to allocate for range 0: no IP addresses available in range set: 10.0.0.1-10.0.0.2',
      }),
    );
    const multi = setUp({ ranges: [[{ subnet: '10.0.0.0/30' }, { subnet: '10.0.1.0/30' }]] }, kind);
    expect([...multi.add('c1'), ...multi.add('c2')]).toEqual(['10.0.0.2/30', '10.0.1.2/30']);
    expect(() => multi.add('c3')).toThrow(
      'no IP addresses available in range set: 10.0.0.1-10.0.0.2,10.0.1.1-10.0.1.2',
    );
  });

  test('a failure in a later set frees what the call took and nothing else', () => {
    const { directory, store, add } = setUp(
      { ranges: [[{ subnet: '10.0.0.0/24' }], [{ subnet: 'fd00::/126' }]] },
      kind,
    );
    put(directory, { 'fd00::2': 'x\r\neth0', 'fd00::3': 'c1\r\neth0' });
    expect(() => add('c1')).toThrow('failed to allocate for range 1: fd00::3 has been allocated');
    expect(() => add('c2')).toThrow('failed to allocate for range 1: no IP addresses available');
    expect(listed(store).sort()).toEqual(['fd00::2', 'fd00::3']);
  });

  test('[109] a second ADD of one attachment fails, another container gets the next', () => {
    const { add } = setUp({ subnet: '10.0.0.0/24' }, kind);
    expect(add('c1')).toEqual(['10.0.0.2/24']);
    expect(() => add('c1')).toThrow(
      expect.objectContaining({
        code: 'DUPLICATE',
        address: '10.0.0.2',
        message:
          'failed to allocate for range 0: 10.0.0.2 has been allocated to c1, duplicate allocation is not allowed',
      }),
    );
    expect(add('c2')).toEqual(['10.0.0.3/24']);
  });

  test('[108] two interfaces of one container are independent', () => {
    const { store, sets } = setUp({ subnet: '10.0.0.0/24' }, kind);
    for (const ifName of ['eth0', 'eth1']) allocate(sets, store, owner('c1', ifName));
    expect(release(store, owner('c1', 'eth0'))).toEqual(['10.0.0.2']);
    expect(reservedAddresses(store, owner('c1', 'eth1'))).toEqual(['10.0.0.3']);
  });

  test('[110, 112] one-line files and white space', () => {
    const { directory, store, add } = setUp({ subnet: '10.0.0.0/24' }, kind);
    put(directory, { '10.0.0.2': 'old\n', '10.0.0.3': ' c3 \n', '10.0.0.4': '\tc4\r\neth0 \n' });
    expect(() => add('old')).toThrow('duplicate allocation is not allowed');
    for (const id of ['old', ' c3', 'c4\n']) {
      expect(reservedAddresses(store, owner(id))).toHaveLength(1);
      expect(release(store, owner(id))).toHaveLength(1);
    }
    expect(listed(store)).toEqual([]);
  });

  test('one-line files stay when the attachment has files of its own', () => {
    const { directory, store } = setUp({ subnet: '10.0.0.0/24' }, kind);
    put(directory, { '10.0.0.2': 'c1', '10.0.0.3': 'c1\r\neth0', '10.0.0.4': 'c1\r\neth1' });
    expect(release(store, owner('c1'))).toEqual(['10.0.0.3']);
    expect(release(store, owner('c1'))).toEqual(['10.0.0.2']);
    expect(listed(store)).toEqual(['10.0.0.4']);
  });

  test('[111] DEL of an unknown container, also without any directory', () => {
    const { directory, store, add } = setUp({ subnet: '10.0.0.0/24' }, kind);
    expect(release(store, owner('c1'))).toEqual([]);
    expect(() => readdirSync(directory)).toThrow('ENOENT');
    expect(store.list()).toEqual([]);
    add('c2');
    expect(release(store, owner('c1'))).toEqual([]);
    expect(listed(store)).toEqual(['10.0.0.2']);
  });

  test('[117] leftovers of crashes are free again, foreign files stay and are skipped', () => {
    const { directory, store, add } = setUp({ subnet: '10.0.0.0/29' }, kind);
    put(directory, {
      '10.0.0.2': '',
      '10.0.0.3': ' \r\n',
      '10.0.0.4': '\0\0\0\0',
      '.weft-10.0.0.5': 'half',
      README: 'hello',
      '10.0.0.05': 'c9\r\neth0',
      'last_reserved_ip.0': '',
    });
    mkdirSync(join(directory, '10.0.0.5'));
    symlinkSync('nowhere', join(directory, '10.0.0.6'));
    expect([...add('c1'), ...add('c2'), ...add('c3')]).toEqual([
      '10.0.0.2/29',
      '10.0.0.3/29',
      '10.0.0.4/29',
    ]);
    expect(() => add('c4')).toThrow('no IP addresses available');
    expect(readdirSync(directory).sort()).toEqual([
      '10.0.0.05',
      '10.0.0.2',
      '10.0.0.3',
      '10.0.0.4',
      '10.0.0.5',
      '10.0.0.6',
      'README',
      'last_reserved_ip.0',
      'lock',
    ]);
    expect(listed(store).sort()).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.4']);
  });

  test('list gives owner and age', () => {
    const { directory, store, add } = setUp({ subnet: '10.0.0.0/24' }, kind);
    add('c1');
    put(directory, { '10.0.0.9': 'old' });
    const [first, second] = store.list().sort((x, y) => (x.address < y.address ? -1 : 1));
    const modifiedAtMs = statSync(join(directory, '10.0.0.2')).mtimeMs;
    expect(first).toEqual({ address: '10.0.0.2', containerId: 'c1', ifName: 'eth0', modifiedAtMs });
    expect(second).toMatchObject({ address: '10.0.0.9', containerId: 'old', ifName: undefined });
  });

  test('a durable store behaves the same', () => {
    const directory = storeDirectory(temporaryDataDirectory(), 'n');
    const store = openStore(directory, { ...kind, isDurable: true });
    const sets = buildRangeSets('1.0.0', dual);
    expect(allocate(sets, store, owner('c1'))).toHaveLength(2);
    expect(release(store, owner('c1'))).toHaveLength(2);
  });
});

describe('the remembered directory', () => {
  test('notices what another store did, however soon after', () => {
    const { directory, store, sets } = setUp({ subnet: '10.0.0.0/16' }, { keepsIndex: true });
    const other = openStore(directory);
    const given = Array.from({ length: 100 }, (_, index) => {
      const [mine] = allocate(sets, store, owner(`a${index}`));
      const [theirs] = allocate(sets, other, owner(`b${index}`));
      release(other, owner(`a${index}`));
      // The remembered attachment is gone, so this is no duplicate.
      const [again] = allocate(sets, store, owner(`a${index}`));
      return [mine?.address, theirs?.address, again?.address];
    }).flat();
    expect(new Set(given).size).toBe(300);
    expect(listed(store)).toHaveLength(200);
  });

  test('notices that the directory was replaced', () => {
    const { directory, store, add } = setUp({ subnet: '10.0.0.0/24' }, { keepsIndex: true });
    add('c1');
    rmSync(directory, { recursive: true });
    put(directory, { '10.0.0.8': 'x' });
    expect(listed(store)).toEqual(['10.0.0.8']);
  });
});

describe('storeDirectory', () => {
  test.each([
    [undefined, '/var/lib/cni/networks/cbr0'],
    ['', '/var/lib/cni/networks/cbr0'],
    ['/run/x', '/run/x/cbr0'],
  ])('dataDir %j is %s', (data, want) => expect(storeDirectory(data, 'cbr0')).toBe(want));

  test.each(['', '.', '..', 'a/b', '../x'])('refuses network %j', (name) =>
    expect(() => storeDirectory(undefined, name)).toThrow(expect.objectContaining({ key: 'name' })),
  );
});
