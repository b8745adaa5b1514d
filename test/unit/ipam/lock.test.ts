import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { withDirectoryLock } from '../../../src/ipam/lock.ts';
import { wire } from '../../../src/netlink/wire.ts';
import { temporaryDataDirectory } from './support.ts';

const options = { flock: wire.flock, timeoutMs: 50, isCreating: true };

/** Starts util-linux flock(1) on the path and waits until it holds the lock. */
async function holdElsewhere(path: string): Promise<number | undefined> {
  const child = spawn('flock', ['-x', '--no-fork', path, 'sh', '-c', 'echo held; read line']);
  onTestFinished(() => void child.kill());
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child.pid;
}

test('[115] a lock held by another process is waited for and its holder named', async () => {
  const directory = temporaryDataDirectory();
  const pid = await holdElsewhere(join(directory, 'lock'));
  expect(() => withDirectoryLock(directory, options, () => 'ran')).toThrow(
    expect.objectContaining({
      code: 'BUSY',
      message: `lock ${directory}/lock: held by pid ${pid} (sh) for more than 50 ms`,
    }),
  );
});

test('[115] the lock shuts out flock(1) on the file while the job runs, and no longer', () => {
  const directory = temporaryDataDirectory();
  const isFree = () =>
    withDirectoryLock(directory, { ...options, timeoutMs: 1 }, () => 'free') === 'free';
  withDirectoryLock(directory, options, () => {
    expect(isFree).toThrow('held by pid');
  });
  expect(isFree()).toBe(true);
});

test('a job that throws frees the lock', () => {
  const directory = temporaryDataDirectory();
  const fail = () =>
    withDirectoryLock(directory, options, () => {
      throw new Error('job failed');
    });
  expect(fail).toThrow('job failed');
  expect(withDirectoryLock(directory, options, () => 'ran')).toBe('ran');
});

test('a directory removed while waiting is made anew and locked there', () => {
  const directory = join(temporaryDataDirectory(), 'n');
  mkdirSync(directory);
  let tries = 0;
  const flock: typeof wire.flock = (fd, operation) => {
    if (tries++ === 0) rmSync(directory, { recursive: true });
    return wire.flock(fd, operation);
  };
  const inode = withDirectoryLock(
    directory,
    { ...options, flock },
    () => statSync(join(directory, 'lock')).ino,
  );
  expect(inode).toBe(statSync(join(directory, 'lock')).ino);
  expect(tries).toBe(2);
});

test('a missing directory is left missing when nothing is to be created', () => {
  const directory = join(temporaryDataDirectory(), 'n');
  const run = () => withDirectoryLock(directory, { ...options, isCreating: false }, () => 'ran');
  expect(run()).toBeUndefined();
  expect(statSync(directory, { throwIfNoEntry: false })).toBeUndefined();
  mkdirSync(directory);
  expect(run()).toBe('ran');
});

test.each(['there', 'not there'])(
  'a link planted as the lock is not followed to what is %s',
  (what) => {
    const directory = temporaryDataDirectory();
    const target = join(directory, 'theirs');
    if (what === 'there') mkdirSync(target);
    symlinkSync(target, join(directory, 'lock'));
    expect(() => withDirectoryLock(directory, options, () => 'ran')).toThrow('ELOOP');
    expect(existsSync(target)).toBe(what === 'there');
  },
);
