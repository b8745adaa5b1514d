import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { attachmentKey } from '../../../../src/cni/attachment.ts';
import { openRecords } from '../../../../src/cni/upkeep/records.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { recordOf } from './builders.ts';

const attachment = { network: 'net', containerId: 'a', ifName: 'eth0' };
const { bootId: _boot, createdAtMs: _at, ...entry } = recordOf(attachment);

function setUp() {
  const parent = mkdtempSync(join(tmpdir(), 'weft-records-'));
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }));
  const directory = join(parent, 'attachments');
  let nowMs = 1_700_000_000_000;
  const records = openRecords(directory, { bootId: () => 'boot', now: () => nowMs++ });
  return { directory, records, file: join(directory, attachmentKey(attachment)) };
}

test('what is written is read back, with boot and time', () => {
  const { records, file } = setUp();
  expect(records.list()).toEqual([]);
  records.write(entry);
  expect(records.read(attachment)).toEqual(recordOf(attachment));
  expect(records.list()).toEqual([recordOf(attachment)]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('written again it is replaced, removed it is gone, removed twice is no error', () => {
  const { records, directory } = setUp();
  records.write(entry);
  records.write({ ...entry, addresses: [] });
  expect(records.list()).toMatchObject([{ addresses: [], createdAtMs: 1_700_000_000_001 }]);
  records.remove(attachment);
  records.remove(attachment);
  expect(readdirSync(directory)).toEqual([]);
});

test('what is added later keeps the rest, and is nothing without a record', () => {
  const { records } = setUp();
  const forwarded = { adminChain: 'CNI-ADMIN', addresses: [parseIP('10.0.0.7')] };
  records.amend(attachment, { forwarded });
  expect(records.list()).toEqual([]);
  records.write(entry);
  records.amend(attachment, { forwarded });
  records.amend(attachment, { iptablesVariant: 'nft' });
  const amended = { ...recordOf(attachment), forwarded, iptablesVariant: 'nft' };
  expect(records.read(attachment)).toEqual(amended);
});

test.each([
  { name: 'cut short', change: (text: string) => text.slice(0, -10) },
  { name: 'empty', change: () => '' },
  { name: 'no object', change: () => 'null' },
  { name: 'of another format', change: (text: string) => text.replace('"format":1', '"format":0') },
  { name: "under another's name", change: (text: string) => text.replace('"a"', '"b"') },
])('a file that is $name is left out', ({ change }) => {
  const { records, file } = setUp();
  records.write(entry);
  writeFileSync(file, change(readFileSync(file, 'utf8')));
  expect(records.list()).toEqual([]);
  expect(records.read(attachment)).toBeUndefined();
});

test('what a killed process left unfinished is not a record, and goes with the next removal', () => {
  const { records, directory, file } = setUp();
  records.write(entry);
  writeFileSync(`${file}.new`, readFileSync(file));
  rmSync(file);
  expect(records.list()).toEqual([]);
  records.remove(attachment);
  expect(readdirSync(directory)).toEqual([]);
});
