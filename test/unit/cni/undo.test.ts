import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openJournal } from '../../../src/cni/journal.ts';
import { withUndo } from '../../../src/cni/undo.ts';

describe('withUndo', () => {
  function run(broken: readonly string[]) {
    const log: string[] = [];
    let message = '';
    const step = (name: string) => () => {
      log.push(name);
      if (broken.includes(name)) throw new Error(`${name} failed`);
    };
    try {
      withUndo(
        (undo) => {
          undo.push(step('first'));
          undo.push(step('second'));
          throw new Error('job failed');
        },
        () => log.push('clean'),
      );
    } catch (thrown) {
      message = thrown instanceof Error ? thrown.message : String(thrown);
    }
    return { log, message };
  }

  test.each([
    ['in reverse', [], ['second', 'first', 'clean'], 'job failed'],
    [
      'to the end, and then it is not clean',
      ['second'],
      ['second', 'first'],
      'undo was not complete: job failed; second failed',
    ],
  ])('takes back %s', (_name, broken, log, message) => {
    expect(run(broken)).toEqual({ log, message });
  });

  test('keeps everything on success', () => {
    const log: string[] = [];
    const value = withUndo(
      (undo) => {
        undo.push(() => log.push('undone'));
        return 5;
      },
      () => log.push('clean'),
    );
    expect({ value, log }).toEqual({ value: 5, log: [] });
  });
});

describe('journal', () => {
  const attachment = { network: 'net', containerId: 'pod-1', ifName: 'eth0' };
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'wt-journal-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test('an attachment is unfinished from begin to end, also for the next process', () => {
    const path = join(directory, 'run/adding');
    const journal = openJournal(path);
    const before = journal.isUnfinished(attachment);
    journal.begin(attachment);
    const during = openJournal(path).isUnfinished(attachment);
    const other = journal.isUnfinished({ ...attachment, ifName: 'eth1' });
    journal.end(attachment);
    expect({ before, during, other, left: readdirSync(path) }).toEqual({
      before: false,
      during: true,
      other: false,
      left: [],
    });
  });

  test('ending what never began touches nothing', () => {
    openJournal(join(directory, 'run')).end(attachment);
    expect(existsSync(join(directory, 'run'))).toBe(false);
  });

  test('a directory that cannot be made is an I/O error that names it', () => {
    writeFileSync(join(directory, 'file'), '');
    const path = join(directory, 'file/adding');
    expect(() => openJournal(path).begin(attachment)).toThrow(`journal in ${path}: `);
  });
});
