import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readRulesRecord, writeRulesRecord } from '../../../../src/agent/proxy/rules-record.ts';

let runDir: string;

beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'weft-record-'));
});

afterEach(() => rmSync(runDir, { recursive: true, force: true }));

test('what is written is read, replaced whole, in a file for people', () => {
  expect([...readRulesRecord(runDir)]).toEqual([]);
  writeRulesRecord(runDir, ['iptables-nft', 'nftables']);
  expect([...readRulesRecord(runDir)]).toEqual(['nftables', 'iptables-nft']);
  writeRulesRecord(runDir, ['nftables']);
  expect(readFileSync(join(runDir, 'proxy-mode'), 'utf8')).toBe('nftables\n');
  expect(readdirSync(runDir)).toEqual(['proxy-mode']);
});

test.each([
  ['', []],
  ['ebpf\nnftables', ['nftables']],
  ['iptables-nftables\n', []],
  ['ipvs-legacy\nipvs\n', ['ipvs-legacy']],
])('%j means %j', (text, want) => {
  writeFileSync(join(runDir, 'proxy-mode'), text);
  expect([...readRulesRecord(runDir)]).toEqual(want);
});

test('a record that cannot be written is an error that names it', () => {
  expect(() => writeRulesRecord(join(runDir, 'gone'), [])).toThrow(/write .*proxy-mode: ENOENT/);
});
