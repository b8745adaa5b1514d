import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CommandPrefix } from '../../../../../src/iptables/command.ts';
import { detectPrograms } from '../../../../../src/proxy/modes/iptables/detection.ts';
import { IoError } from '../../../../../src/util/errors.ts';
import { installedPrograms } from '../../../../support/iptables-lab.ts';

let folder: string;
let prefix: CommandPrefix;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-iptables-'));
  // Scripts name their shell in full, so that nothing else has to be in the path.
  prefix = ['env', `PATH=${folder}`];
});

afterEach(() => rmSync(folder, { recursive: true }));

function install(name: string, script: string): void {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

/** Programs that say their version, list this, and take everything. */
function installVariant(stem: string, version: string, listing = ''): void {
  for (const family of ['ip', 'ip6']) {
    install(`${family}${stem}-restore`, `echo 'iptables-restore ${version}'`);
    install(`${family}${stem}-save`, `echo '${listing}'`);
  }
}

describe('programs', () => {
  test('are missing', async () => {
    await expect(detectPrograms([4], { prefix })).rejects.toThrow('install the package iptables');
    expect(await installedPrograms([4], prefix)).toEqual([]);
  });

  test.each([
    ['v1.8.9 (nf_tables)', 'nft'],
    ['v1.8.9 (legacy)', 'legacy'],
    ['v1.6.2', 'legacy'],
  ])('without a variant in their name, %s', async (version, want) => {
    installVariant('tables', version);
    const programs = await detectPrograms([4, 6], { prefix });
    expect([...programs.values()].map(({ variant }) => variant)).toEqual([want, want]);
  });

  test('of both variants: the listing decides, configuration before it', async () => {
    installVariant('tables-nft', 'v1.8.9 (nf_tables)');
    installVariant('tables-legacy', 'v1.8.9 (legacy)', ':KUBE-SERVICES - [0:0]');
    const detected = async (variant?: 'nft') =>
      (await detectPrograms([4], { prefix, variant })).get(4)?.variant;
    expect(await detected()).toBe('legacy');
    expect(await detected('nft')).toBe('nft');
    expect(await installedPrograms([4, 6], prefix)).toHaveLength(4);
  });

  test('of a variant that the kernel does not have are left out', async () => {
    installVariant('tables-nft', 'v1.8.9 (nf_tables)');
    installVariant('tables-legacy', 'v1.8.9 (legacy)');
    install('iptables-nft-save', 'echo "Failed to initialize nft" >&2; exit 1');
    expect((await detectPrograms([4], { prefix })).get(4)?.variant).toBe('legacy');
    install('iptables-legacy-save', 'echo "no tables" >&2; exit 1');
    await expect(detectPrograms([4], { prefix })).rejects.toThrow('Failed to initialize nft');
  });

  test('of the variant that is asked for are missing', async () => {
    installVariant('tables-nft', 'v1.8.9 (nf_tables)');
    const detecting = detectPrograms([4], { prefix, variant: 'legacy' });
    await expect(detecting).rejects.toThrow('iptables of variant legacy is not installed');
  });
});

describe('a failure', () => {
  const input = '*nat\n:A - [0:0]\n-A A -j NOWHERE\nCOMMIT\n';
  const restore = async (script: string) => {
    installVariant('tables-nft', 'v1.8.9 (nf_tables)');
    const programs = (await detectPrograms([4], { prefix })).get(4);
    install('iptables-nft-restore', script);
    return programs?.restore(input);
  };

  test.each([
    [
      'with the line at fault',
      'echo "iptables-restore: line 3 failed" >&2; exit 1',
      'iptables-nft-restore: iptables-restore: line 3 failed: -A A -j NOWHERE',
    ],
    [
      'that is found at the end only',
      'echo "iptables-restore: line 4 failed" >&2; exit 1',
      'iptables-nft-restore: iptables-restore: line 4 failed',
    ],
    [
      'of a lock',
      'echo "Another app is currently holding the xtables lock." >&2; exit 4',
      'iptables-nft-restore: Another app is currently holding the xtables lock.',
    ],
    ['without a word', 'exec 0<&-; exit 3', 'iptables-nft-restore: exit status 3'],
  ])('%s', async (_, script, want) => {
    await expect(restore(script)).rejects.toThrow(new IoError(want));
  });
});
