import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openJournal } from '../../../src/cni/journal.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-journal-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const a = { network: 'net', containerId: 'a', ifName: 'eth0' };
const b = { network: 'net', containerId: 'b', ifName: 'eth0' };

test('tells the attachments whose ADD has begun and not ended', () => {
  const journal = openJournal(join(directory, 'adding'));
  expect(journal.unfinished()).toEqual([]);
  journal.begin(a);
  journal.begin(b);
  expect(journal.unfinished()).toEqual(expect.arrayContaining([a, b]));
  journal.end(a);
  expect([journal.unfinished(), journal.isUnfinished(a), journal.isUnfinished(b)]).toEqual([
    [b],
    false,
    true,
  ]);
});

test('a link to itself names nobody and hides nobody', () => {
  const journal = openJournal(directory);
  journal.begin(a);
  symlinkSync('loop', join(directory, 'loop'));
  expect(journal.unfinished()).toEqual([a]);
});

test('an entry that cannot be written leaves no file', () => {
  const journal = openJournal(directory);
  journal.begin(a);
  const [name = ''] = readdirSync(directory);
  journal.end(a);
  // Opening succeeds, writing does not: what a full disk does.
  symlinkSync('/dev/full', join(directory, name));
  expect(() => journal.begin(a)).toThrow('ENOSPC');
  expect(readdirSync(directory)).toEqual([]);
});

test.each(['', '{"network":"n', '[]', '{"network":"n"}', 'null'])(
  'an entry that holds %j names nobody and hides nobody',
  (content) => {
    const journal = openJournal(directory);
    journal.begin(a);
    writeFileSync(join(directory, '0'.repeat(32)), content);
    expect(journal.unfinished()).toEqual([a]);
    expect(readdirSync(directory)).toHaveLength(2);
  },
);

test('tells where an ADD is at work, when that is known', () => {
  const journal = openJournal(directory);
  const netns = { path: '/run/netns/a', id: '4:4026532000' };
  journal.begin(a, netns);
  journal.begin(b);
  expect([journal.netnsOf(a), journal.netnsOf(b)]).toEqual([netns, undefined]);
  expect(journal.unfinished()).toEqual(expect.arrayContaining([a, b]));
  journal.end(a);
  expect(journal.netnsOf(a)).toBeUndefined();
});
