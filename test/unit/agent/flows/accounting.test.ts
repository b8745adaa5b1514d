import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  accountingNotices,
  holdAccounting,
  restoreAccounting,
} from '../../../../src/agent/flows/accounting.ts';

const ACCT = 'net/netfilter/nf_conntrack_acct';
const TIMES = 'net/netfilter/nf_conntrack_timestamp';
const EVENTS = 'net/netfilter/nf_conntrack_events';

let runDir: string;
let values: Map<string, string>;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'weft-flows-'));
  values = new Map([
    [ACCT, '0'],
    [TIMES, '0'],
    [EVENTS, '2'],
  ]);
});
afterEach(() => rmSync(runDir, { recursive: true }));

const access = {
  read: (path: string) => values.get(path),
  write: (path: string, value: string) => void values.set(path, value),
};
const options = (bootId = 'boot') => ({ runDir, bootId, access });

test('what is set while somebody follows is put back', () => {
  values.set(TIMES, '1');
  const held = holdAccounting(options());
  expect([values.get(ACCT), values.get(TIMES)]).toEqual(['1', '1']);
  held.close();
  expect([values.get(ACCT), values.get(TIMES)]).toEqual(['0', '1']);
  expect(readdirSync(runDir)).toEqual([]);
});

test('what a killed process has left is put back, but not after another boot', () => {
  holdAccounting(options());
  restoreAccounting(options());
  expect(values.get(ACCT)).toBe('0');
  holdAccounting(options());
  restoreAccounting(options('later'));
  expect(values.get(ACCT)).toBe('1');
});

test('somebody else has the last word', () => {
  const held = holdAccounting(options());
  values.set(ACCT, '2');
  held.close();
  expect(values.get(ACCT)).toBe('2');
});

test.each([
  [{ [EVENTS]: '1', [ACCT]: '1' }, []],
  [{ [EVENTS]: '0', [ACCT]: '1' }, [/begin and end are not told: .*nf_conntrack_events is 0/]],
  [{ [EVENTS]: '2', [ACCT]: '0' }, [/before somebody looked/, /bytes are not counted/]],
  [{}, [/not loaded/]],
])('notices %j', (sysctls: Record<string, string>, want) => {
  const notices = accountingNotices({ ...access, read: (path) => sysctls[path] });
  expect(notices).toEqual(want.map((pattern) => expect.stringMatching(pattern)));
});
