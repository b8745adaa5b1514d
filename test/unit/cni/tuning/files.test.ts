import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { requireAllowed } from '../../../../src/cni/tuning/allowlist.ts';
import {
  backupOwners,
  readBackup,
  removeBackup,
  saveBackup,
} from '../../../../src/cni/tuning/backup.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wt-tuning-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('requireAllowed', () => {
  const file = () => join(directory, 'allowlist.conf');
  const patterns = '^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$\n\n  ^net\\.core\\. \n';

  test.each([
    [patterns, 'net.ipv4.conf.IFNAME.arp_filter', true],
    [patterns, 'net.core.somaxconn', true],
    [patterns, 'net.ipv4.conf.eth0.arp_filter', false],
    ['', 'net.core.somaxconn', false],
  ])('%j and %s', (content, key, isAllowed) => {
    writeFileSync(file(), content);
    const job = () => requireAllowed(['net.core.x', key].slice(content === '' ? 1 : 0), file());
    if (isAllowed) job();
    else
      expect(job).toThrow(`Sysctl ${key} is not allowed. Only the following sysctls are allowed`);
  });

  test('without the file everything is allowed', () => {
    requireAllowed(['net.anything'], file());
  });

  test('a broken pattern and an unreadable file allow nothing', () => {
    writeFileSync(file(), '([');
    expect(() => requireAllowed(['net.anything'], file())).toThrow('allowlist');
    expect(() => requireAllowed(['net.anything'], directory)).toThrow('failed to read allowlist');
  });
});

describe('backups', () => {
  const owner = { network: 'net', containerId: 'pod_1', ifName: 'net_1' };

  test('the first one saved is read back and named as the reference names it', () => {
    saveBackup(directory, owner, { mtu: 1500, isPromiscuous: false });
    saveBackup(directory, owner, { mtu: 1400 });
    expect(readBackup(directory, owner)).toEqual({
      owner,
      change: { mtu: 1500, isPromiscuous: false },
    });
    expect(readdirSync(directory)).toEqual(['pod_1_net_1.json']);
    expect(JSON.parse(readFileSync(join(directory, 'pod_1_net_1.json'), 'utf8'))).toMatchObject({
      mtu: 1500,
      promisc: false,
    });
    expect(backupOwners(directory)).toEqual([owner]);
    removeBackup(directory, owner);
    removeBackup(directory, owner);
    expect(readBackup(directory, owner)).toBeUndefined();
  });

  test('those of the reference have no owner; broken ones are no error', () => {
    writeFileSync(
      join(directory, 'pod_1_net_1.json'),
      '{"mac":"C2:11:22:33:44:55","promisc":false,"mtu":1454,"allmulti":false,"txQLen":0}',
    );
    writeFileSync(join(directory, 'other.json'), '');
    expect(readBackup(directory, owner)).toEqual({
      change: {
        mac: 'c2:11:22:33:44:55',
        isPromiscuous: false,
        mtu: 1454,
        isAllMulticast: false,
        txQueueLength: 0,
      },
    });
    expect(backupOwners(directory)).toEqual([]);
    expect(backupOwners(join(directory, 'missing'))).toEqual([]);
  });
});
