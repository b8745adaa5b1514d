import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { allocate, DuplicateAllocationError, release } from '../../../src/ipam/allocate.ts';
import { openQuarantine } from '../../../src/ipam/quarantine.ts';
import { buildRangeSets } from '../../../src/ipam/range-config.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { filesOf, openStore, owner, temporaryDataDirectory } from './support.ts';

const periodMs = 30_000;

function setUp(subnet = '10.0.0.0/29') {
  const parent = temporaryDataDirectory();
  const clock = { nowMs: 1_700_000_000_000 };
  const directory = join(parent, 'released');
  const quarantine = openQuarantine({ directory, periodMs, now: () => clock.nowMs });
  const store = openStore(join(parent, 'n'), { quarantine });
  const sets = buildRangeSets('1.0.0', { subnet });
  const request = (id: string, requested: string[] = []) => {
    return { ...owner(id), requested: requested.map(parseIP) };
  };
  return {
    clock,
    directory,
    store,
    add: (id: string, requested: string[] = [], isLeftover?: () => boolean) => {
      const more = isLeftover === undefined ? {} : { isLeftover };
      const [ip] = allocate(sets, store, { ...request(id, requested), ...more });
      return ip?.address.replace(/\/.*/, '');
    },
    del: (id: string) => release(store, owner(id)),
  };
}

describe('quarantine', () => {
  test('others are given first, also when the round comes by', () => {
    const { add, del } = setUp();
    expect(add('a')).toBe('10.0.0.2');
    del('a');
    expect(['b', 'c', 'd', 'e'].map((id) => add(id))).toEqual([
      '10.0.0.3',
      '10.0.0.4',
      '10.0.0.5',
      '10.0.0.6',
    ]);
    expect(add('f')).toBe('10.0.0.2');
  });

  test('of those at rest the one that rests longest', () => {
    const { add, del, clock } = setUp();
    for (const id of ['a', 'b', 'c', 'd', 'e']) add(id);
    for (const id of ['c', 'a', 'd']) {
      clock.nowMs += 1_000;
      del(id);
    }
    expect([add('f'), add('g'), add('h')]).toEqual(['10.0.0.4', '10.0.0.2', '10.0.0.5']);
    expect(() => add('i')).toThrow('no IP addresses available');
  });

  test('rested in full it is one like any other', () => {
    const { add, del, clock } = setUp();
    for (const id of ['a', 'b', 'c', 'd', 'e']) add(id);
    del('b');
    clock.nowMs += periodMs;
    del('a');
    expect(add('f')).toBe('10.0.0.3');
  });

  test('asked for by name it need not rest', () => {
    const { add, del } = setUp();
    add('a');
    del('a');
    expect(add('b', ['10.0.0.2'])).toBe('10.0.0.2');
  });

  test('a clock set back keeps nothing for long', () => {
    const { add, del, clock } = setUp();
    for (const id of ['a', 'b', 'c', 'd', 'e']) add(id);
    del('b');
    clock.nowMs -= 3_600_000;
    del('a');
    expect(add('f')).toBe('10.0.0.3');
  });

  test('the store holds nothing but what the reference knows', () => {
    const { add, del, store, directory } = setUp();
    add('a');
    del('a');
    expect(Object.keys(filesOf(store.directory))).toEqual(['last_reserved_ip.0']);
    const [name = ''] = readdirSync(directory);
    expect(readFileSync(join(directory, name), 'utf8')).toBe('10.0.0.2 1700000000000\n');
  });

  test('the notes stay small', () => {
    const { add, del, clock, directory } = setUp('10.0.0.0/16');
    for (let round = 0; round < 600; round += 1) {
      clock.nowMs += 1_000;
      add('a');
      del('a');
    }
    const [name = ''] = readdirSync(directory);
    expect(statSync(join(directory, name)).size).toBeLessThan(10_000);
  });

  test('what cannot be noted is released all the same', () => {
    const parent = temporaryDataDirectory();
    const directory = join(parent, 'file', 'released');
    writeFileSync(join(parent, 'file'), '');
    const quarantine = openQuarantine({ directory, periodMs, now: () => 0 });
    const store = openStore(join(parent, 'n'), { quarantine });
    allocate(buildRangeSets('1.0.0', { subnet: '10.0.0.0/29' }), store, owner('a'));
    expect(release(store, owner('a'))).toEqual(['10.0.0.2']);
    expect(store.list()).toEqual([]);
  });
});

describe('an owner that has an address already', () => {
  test('a leftover is taken over', () => {
    const { add, store } = setUp();
    add('a');
    add('b');
    const [before] = store.list();
    expect(add('a', [], () => true)).toBe('10.0.0.2');
    expect(store.list()).toHaveLength(2);
    expect(store.list()[0]?.modifiedAtMs).toBeGreaterThanOrEqual(before?.modifiedAtMs ?? 0);
  });

  test('also when it is asked for by name', () => {
    const { add } = setUp();
    add('a', ['10.0.0.4']);
    expect(add('a', ['10.0.0.4'], () => true)).toBe('10.0.0.4');
    expect(() => add('a', ['10.0.0.4'], () => false)).toThrow('not available');
  });

  test("another's address is never taken over", () => {
    const { add } = setUp();
    add('a', ['10.0.0.4']);
    expect(() => add('b', ['10.0.0.4'], () => true)).toThrow('not available');
  });

  test.each([{ isLeftover: () => false }, { isLeftover: undefined }])(
    'anything else is refused (%o)',
    ({ isLeftover }) => {
      const { add, store } = setUp();
      add('a');
      expect(() => add('a', [], isLeftover)).toThrow(DuplicateAllocationError);
      expect(store.list()).toHaveLength(1);
    },
  );
});
