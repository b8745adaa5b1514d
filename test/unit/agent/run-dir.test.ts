import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureRunDir, lockRunDir, whyLocked } from '../../../src/agent/run-dir.ts';
import { BusyError, IoError } from '../../../src/util/errors.ts';
import type { Flock } from '../../../src/util/wait.ts';

const uid = process.geteuid?.() ?? 0;
let base = '';
let path = '';

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'weft-run-dir-'));
  path = join(base, 'run');
});
afterEach(() => rmSync(base, { recursive: true }));

const modeOf = (file: string) => statSync(file).mode & 0o7777;

describe('ensureRunDir', () => {
  test('creates it for the owner alone, with its parents', () => {
    path = join(base, 'a', 'b');
    ensureRunDir(path, uid);
    expect([modeOf(path), modeOf(join(base, 'a'))]).toEqual([0o700, 0o755]);
  });

  test.each([0o700, 0o755, 0o711])('mode %o is kept or tightened', (mode) => {
    mkdirSync(path);
    chmodSync(path, mode);
    ensureRunDir(path, uid);
    expect(modeOf(path)).toBe(0o700);
  });

  test.each([0o770, 0o777, 0o1777, 0o702])('mode %o is refused', (mode) => {
    mkdirSync(path);
    chmodSync(path, mode);
    expect(() => ensureRunDir(path, uid)).toThrow(/lets others write to it \(chmod 700 /);
    expect(modeOf(path)).toBe(mode);
  });

  test('a foreign owner is refused', () => {
    mkdirSync(path, { mode: 0o700 });
    expect(() => ensureRunDir(path, uid + 1)).toThrow(`it belongs to uid ${uid}, not ${uid + 1}`);
  });

  test.runIf(uid === 0)('a directory given to another user is refused', () => {
    mkdirSync(path, { mode: 0o700 });
    chownSync(path, 65534, 65534);
    expect(() => ensureRunDir(path, 0)).toThrow('it belongs to uid 65534, not 0');
  });

  test('a symbolic link is refused even to a good directory', () => {
    mkdirSync(join(base, 'good'), { mode: 0o700 });
    symlinkSync(join(base, 'good'), path);
    expect(() => ensureRunDir(path, uid)).toThrow(/it is a symbolic link$/);
  });

  test('a file is refused', () => {
    writeFileSync(path, '');
    expect(() => ensureRunDir(path, uid)).toThrow(/it is not a directory$/);
  });

  test('a parent that is a file is named', () => {
    writeFileSync(path, '');
    const attempt = () => ensureRunDir(join(path, 'x'), uid);
    expect(attempt).toThrow(IoError);
    expect(attempt).toThrow(`create directory ${path}: EEXIST`);
  });
});

describe('lockRunDir', () => {
  /** flock(2) within one process: an open file description each. */
  function lockTable(): Flock {
    const held = new Set<number>();
    return (fd, operation) => {
      if (operation === 'unlock') return held.delete(fd);
      if (held.size > 0) return false;
      held.add(fd);
      return true;
    };
  }

  test('holds the pid and can be taken again after release', () => {
    const flock = lockTable();
    mkdirSync(path, { mode: 0o700 });
    lockRunDir(path, 123456, flock).release();
    const lock = lockRunDir(path, 42, flock);
    expect(readFileSync(join(path, 'agent.lock'), 'utf8')).toBe('42\n');
    lock.release();
  });

  test('a second agent is refused, told who holds it, and leaves no descriptor', () => {
    const flock = lockTable();
    mkdirSync(path, { mode: 0o700 });
    const lock = lockRunDir(path, 42, flock);
    const nextFd = () => {
      const fd = openSync(base, 'r');
      closeSync(fd);
      return fd;
    };
    const before = nextFd();
    const attempt = () => lockRunDir(path, 43, flock);
    expect(attempt).toThrow(BusyError);
    expect(attempt).toThrow(/the agent with pid 42 is using it; .*--run-dir/);
    expect(nextFd()).toBe(before);
    lock.release();
  });

  test('a missing directory is an error that names the file', () => {
    expect(() => lockRunDir(path, 1, lockTable())).toThrow(
      /agent\.lock: ENOENT \(no such file or directory\)$/,
    );
  });
});

describe('whyLocked', () => {
  test('names the agent that has the directory, and leaves no trace', () => {
    mkdirSync(path);
    expect(whyLocked(path, () => true)).toBeUndefined();
    expect(readdirSync(path)).toEqual([]);
    writeFileSync(join(path, 'agent.lock'), '812\n');
    expect(whyLocked(path, () => false)?.message).toMatch(/the agent with pid 812 is using it/);
    const operations: string[] = [];
    const flock: Flock = (_fd, operation) => operations.push(operation) > 0;
    expect(whyLocked(path, flock)).toBeUndefined();
    expect(operations).toEqual(['exclusive', 'unlock']);
    expect(readFileSync(join(path, 'agent.lock'), 'utf8')).toBe('812\n');
  });
});
