import { chmodSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { placeLoopback } from '../../../../src/agent/fabric/loopback.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-bin-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function program(name: string): void {
  writeFileSync(join(directory, name), name);
  chmodSync(join(directory, name), 0o755);
}

test('loopback leads to weft beside it where there is none, and once only', () => {
  program('weft');
  expect(placeLoopback(directory)).toContain('loopback is weft now');
  expect(readlinkSync(join(directory, 'loopback'))).toBe('weft');
  expect(placeLoopback(directory)).toBeUndefined();
});

test('the one of somebody else stays', () => {
  program('weft');
  program('loopback');
  expect(placeLoopback(directory)).toBeUndefined();
  expect(readFileSync(join(directory, 'loopback'), 'utf8')).toBe('loopback');
});

test('a directory without weft is told', () => {
  expect(() => placeLoopback(directory)).toThrow(`no CNI executable of weft at ${directory}/weft`);
});
