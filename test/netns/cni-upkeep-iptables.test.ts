/** The rules of `ipMasqBackend: iptables` come back after a flush: of iptables-nft, and of iptables-legacy. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TestNetns } from '../support/netns.ts';
import { UpkeepNode } from './cni-upkeep-lab.ts';

const promisedMs = 1_000;
const options = { timeout: 30_000, retry: 0 };
const masquerade = { ipMasqBackend: 'iptables' };

let node: UpkeepNode;
let one: TestNetns;
let two: TestNetns;
let others: ChildProcess[];
beforeEach(() => {
  node = new UpkeepNode();
  one = node.pod();
  two = node.pod();
  others = [];
});
afterEach(async () => {
  for (const other of others) other.kill('SIGKILL');
  await node.stopAgent();
  node.remove();
});

type Variant = 'nft' | 'legacy';
const families = ['iptables', 'ip6tables'];

/** All rules and chains of table `nat`, without counters. */
function nat(variant: Variant): string {
  return families
    .map((family) => node.host.run(`${family}-${variant}-save`, '-t', 'nat'))
    .join('')
    .replaceAll(/^(#|:[A-Z]+ ACCEPT).*\n/gm, '')
    .replaceAll(/\[\d+:\d+\]/g, '');
}

/** Rules and chains, with a lock of its own: another one may be held. */
function flush(variant: Variant): void {
  const lock = `XTABLES_LOCKFILE=${join(node.directory, 'lock')}`;
  for (const family of families) {
    const restore = `printf '*nat\\nCOMMIT\\n' | ${lock} ${family}-${variant}-restore`;
    node.host.run('sh', '-c', restore);
  }
}

/** What the node's plain names mean. */
function pathOf(variant: Variant): string {
  const path = join(node.directory, variant);
  mkdirSync(path, { recursive: true });
  for (const family of families) {
    for (const action of ['', '-save', '-restore']) {
      symlinkSync(`/usr/sbin/${family}-${variant}${action}`, join(path, `${family}${action}`));
    }
  }
  return `${path}:${process.env['PATH']}`;
}

function call(command: string, id: string, netns: TestNetns, PATH: string): void {
  node.result({ command, id, netns, stdin: node.conf(masquerade), env: { PATH } });
}

describe.each([
  { variant: 'nft', settings: {} },
  // No event tells of a change of the older interface.
  { variant: 'legacy', settings: { repairMs: 500 } },
] as const)('iptables-$variant', ({ variant, settings }) => {
  test('a flush: all rules come back, in order, and go with their pods', options, async () => {
    const PATH = pathOf(variant);
    const empty = nat(variant);
    call('ADD', 'one', one, PATH);
    call('ADD', 'two', two, PATH);
    const before = nat(variant);
    await node.startAgent(settings);
    flush(variant);
    await node.until(() => sorted(nat(variant)) === sorted(before), promisedMs);
    await node.until(() => node.count('repaired', 'masqueradeRules') >= 2, promisedMs);
    const orderOf = (rules: string) => rules.match(/^-A CNI-\S+ (-d|!)/gm);
    expect(orderOf(nat(variant))).toEqual(orderOf(before));
    expect(nat(variant === 'nft' ? 'legacy' : 'nft')).not.toContain('CNI-');
    call('DEL', 'one', one, PATH);
    call('DEL', 'two', two, PATH);
    expect(nat(variant)).toBe(empty);
  });

  test.each([
    { what: 'the ways to the chains', args: ['-F', 'POSTROUTING'] },
    { what: 'one rule', args: ['-D', 'POSTROUTING', '1'] },
  ])('$what', options, async ({ args }) => {
    call('ADD', 'one', one, pathOf(variant));
    const before = nat(variant);
    await node.startAgent(settings);
    node.host.run(`ip6tables-${variant}`, '-t', 'nat', ...args);
    await node.until(() => node.count('repaired', 'masqueradeRules') === 1, promisedMs);
    expect(nat(variant)).toBe(before);
  });

  test('pods that come and go while rules are flushed: none has too few or too many', {
    ...options,
    timeout: 120_000,
  }, async () => {
    const PATH = pathOf(variant);
    const empty = nat(variant);
    call('ADD', 'two', two, PATH);
    const before = nat(variant);
    await node.startAgent({ ...settings, repairMs: 500 });
    for (let round = 0; round < 4; round += 1) {
      call('ADD', 'one', one, PATH);
      const deletion = node.callBeside({
        command: 'DEL',
        id: 'one',
        netns: round % 2 === 0 ? one : '',
        stdin: node.conf(masquerade),
        env: { PATH },
      });
      const flushes = setInterval(() => flushQuietly(variant), 40);
      expect(await deletion).toMatchObject({ status: 0 });
      clearInterval(flushes);
      await node.until(() => sorted(nat(variant)) === sorted(before), 20_000);
    }
    call('DEL', 'two', two, PATH);
    await node.stopAgent();
    expect(nat(variant)).toBe(empty);
  });
});

describe.each([
  { variant: 'nft', settings: {} },
  { variant: 'legacy', settings: { repairMs: 500 } },
] as const)('host ports of iptables-$variant', ({ variant, settings }) => {
  const publishing = {
    backend: 'iptables',
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
  };

  test('come back after a flush, and go with their pods', options, async () => {
    const path = process.env['PATH'];
    const PATH = pathOf(variant);
    const call = (command: string, id: string, netns: TestNetns) =>
      node.result({ command, id, netns, stdin: node.conf(publishing), env: { PATH } });
    call('ADD', 'one', one);
    const before = nat(variant);
    expect(before).toContain('--to-destination 10.22.0.2:80');
    process.env['PATH'] = PATH;
    try {
      await node.startAgent(settings);
    } finally {
      process.env['PATH'] = path;
    }
    flush(variant);
    await node.until(() => node.count('repaired', 'hostPorts') === 1, 2 * promisedMs);
    expect(sorted(nat(variant))).toBe(sorted(before));
    node.host.run(`iptables-${variant}`, '-t', 'nat', '-D', 'PREROUTING', '1');
    await node.until(() => node.count('repaired', 'hostPorts') === 2, 2 * promisedMs);
    expect(sorted(nat(variant))).toBe(sorted(before));
    call('DEL', 'one', one);
    expect(nat(variant)).not.toContain('8080');
  });
});

test('no program is executed for a table in which nothing is missing', options, async () => {
  call('ADD', 'one', one, pathOf('nft'));
  node.host.run('iptables', '-t', 'nat', '-N', 'OTHERS');
  const before = nat('nft');
  const { PATH = '' } = process.env;
  process.env['PATH'] = `${programsThatTell()}:${PATH}`;
  try {
    await node.startAgent();
  } finally {
    process.env['PATH'] = PATH;
  }
  node.host.run('iptables', '-t', 'nat', '-F', 'OTHERS');
  node.host.run('ip6tables', '-t', 'nat', '-F', 'POSTROUTING');
  await node.until(() => nat('nft') === before, promisedMs);
  await node.until(() => node.count('repaired', 'masqueradeRules') === 1, promisedMs);
  const told = new Set(readFileSync(join(node.directory, 'told'), 'utf8').trim().split('\n'));
  expect([...told].filter((line) => !line.endsWith('--version')).toSorted()).toEqual([
    'ip6tables-nft-restore -w 5 --noflush',
    'ip6tables-nft-save -t nat',
  ]);
});

test('others are cared for while a lock is waited for', options, async () => {
  call('ADD', 'one', one, pathOf('legacy'));
  node.attach(two, 'two', { bridge: 'cni1', name: 'net2' });
  const before = nat('legacy');
  await node.startAgent({ repairMs: 200 });
  // The lock of all programs of iptables-legacy (XT_LOCK_NAME in xshared.h).
  const heldMs = 2_500;
  const command = `echo locked; sleep ${heldMs / 1_000}`;
  const lock = spawn('flock', ['/run/xtables.lock', 'sh', '-c', command]);
  others.push(lock);
  await once(lock.stdout, 'data');
  flush('legacy');
  const isHealed = () => sorted(nat('legacy')) === sorted(before);
  node.nft('flush', 'ruleset');
  await node.until(() => node.count('repaired', 'masquerade') === 1, promisedMs);
  expect(isHealed()).toBe(false);
  await node.until(isHealed, heldMs + 3 * promisedMs);
});

/** Programs of iptables-nft that write down how they were executed. */
function programsThatTell(): string {
  const directory = join(node.directory, 'telling');
  mkdirSync(directory);
  for (const name of families.flatMap((family) => [
    `${family}-nft-save`,
    `${family}-nft-restore`,
  ])) {
    const script = `#!/bin/sh\necho "${name} $*" >> ${node.directory}/told\nexec /usr/sbin/${name} "$@"\n`;
    writeFileSync(join(directory, name), script, { mode: 0o755 });
  }
  return directory;
}

function flushQuietly(variant: Variant): void {
  for (const family of families) node.host.attempt(`${family}-${variant}`, ['-t', 'nat', '-F']);
}

function sorted(rules: string): string {
  return rules.split('\n').toSorted().join('\n');
}
