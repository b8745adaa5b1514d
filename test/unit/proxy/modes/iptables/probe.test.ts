import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CommandPrefix } from '../../../../../src/iptables/command.ts';
import { detectPrograms } from '../../../../../src/proxy/modes/iptables/detection.ts';
import { probeRules } from '../../../../../src/proxy/modes/iptables/probe.ts';

let folder: string;
/** Finds programs of the test, and `grep` where the system has it. */
let prefix: CommandPrefix;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weft-probe-'));
  prefix = ['env', `PATH=${folder}:/usr/bin:/bin`];
});

afterEach(() => rmSync(folder, { recursive: true }));

function install(name: string, script: string): void {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

/** Programs of a kernel that refuses rules with `missing` in them. */
async function programsWithout(variant: 'nft' | 'legacy', missing: string, save = 'true') {
  const version = variant === 'nft' ? 'v1.8.9 (nf_tables)' : 'v1.8.9 (legacy)';
  const refuse = `if grep -qe '${missing}'; then echo 'RULE_APPEND failed' >&2; exit 4; fi`;
  for (const family of ['ip', 'ip6']) {
    const name = `${family}tables-${variant}`;
    const sayVersion = `[ "$1" = --version ] && { echo '${version}'; exit; }`;
    install(`${name}-restore`, `${sayVersion}\n${refuse}`);
    install(`${name}-save`, save);
  }
  return detectPrograms([4, 6], { variant, prefix });
}

test('a kernel that has everything', async () => {
  const programs = await programsWithout('nft', 'nothing of this kind');
  expect(await probeRules(programs, prefix)).toBe(true);
});

describe('what is missing is named', () => {
  test.each([
    { variant: 'nft', missing: 'statistic', want: 'CONFIG_NETFILTER_XT_MATCH_STATISTIC' },
    {
      variant: 'nft',
      missing: 'comment',
      want: 'CONFIG_NFT_COMPAT and CONFIG_NETFILTER_XT_MATCH_',
    },
    { variant: 'legacy', missing: 'comment', want: 'CONFIG_NETFILTER_XT_MATCH_COMMENT' },
    { variant: 'legacy', missing: '^.nat', want: 'CONFIG_IP_NF_NAT' },
    { variant: 'nft', missing: '^.nat', want: 'CONFIG_NFT_NAT' },
    { variant: 'legacy', missing: 'icmp6', want: 'CONFIG_IP6_NF_TARGET_REJECT' },
    { variant: 'legacy', missing: 'MASQUERADE', want: 'CONFIG_NETFILTER_XT_TARGET_MASQUERADE' },
    { variant: 'nft', missing: '--rcheck', want: 'CONFIG_NETFILTER_XT_MATCH_RECENT' },
  ] as const)('$variant without $missing', async ({ variant, missing, want }) => {
    const programs = await programsWithout(variant, missing);
    const message = `the kernel has no ${want}`;
    await expect(probeRules(programs, prefix)).rejects.toThrow(message);
  });
});

test('rights are no missing option', async () => {
  const programs = await programsWithout('nft', 'nothing of this kind');
  for (const family of ['ip', 'ip6']) {
    install(
      `${family}tables-nft-restore`,
      `[ "$1" = --version ] && { echo 'v1.8.9 (nf_tables)'; exit; }
echo 'Permission denied (you must be root)' >&2; exit 4`,
    );
  }
  const message =
    'iptables-nft-restore: Permission denied (you must be root); it needs CAP_NET_ADMIN';
  await expect(probeRules(programs, prefix)).rejects.toThrow(message);
});

describe('without a throw-away namespace', () => {
  const nowhere: CommandPrefix = ['/nowhere/unshare', '--net'];

  test('the tables are read', async () => {
    const programs = await programsWithout('nft', 'statistic');
    expect(await probeRules(programs, nowhere)).toBe(false);
  });

  test('tables that cannot be read are an error', async () => {
    const programs = await programsWithout(
      'nft',
      'statistic',
      'echo "you must be root" >&2; exit 4',
    );
    await expect(probeRules(programs, nowhere)).rejects.toThrow(
      /iptables-nft-save: you must be root/,
    );
  });
});
