/** A router of Debian's FRR in a namespace: zebra, which has the kernel's routes, and bgpd. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestNetns } from './netns.ts';
import { until } from './until.ts';

const PROGRAMS = '/usr/lib/frr';

export interface FrrRouter {
  /** What `show <words> json` tells. Throws when FRR does not answer. */
  show<T>(words: string): T;
  /** Lines of its configuration mode. */
  configure(lines: readonly string[]): void;
  remove(): void;
}

/** Starts both with this configuration of bgpd, and waits until they answer. */
export async function startFrr(netns: TestNetns, config: string): Promise<FrrRouter> {
  const directory = mkdtempSync(join(tmpdir(), 'wt-frr-'));
  // Debian's user of FRR, as which both run.
  execFileSync('chown', ['frr:frr', directory]);
  const file = (name: string) => join(directory, name);
  const start = (program: string, text: string) => {
    writeFileSync(file(`${program}.conf`), text);
    const paths = ['-f', file(`${program}.conf`), '-i', file(`${program}.pid`)];
    const sockets = ['-z', file('zserv.api'), '--vty_socket', directory];
    // No port of its own to be configured at: by its socket alone.
    const others = ['-P', '0', '--log', `file:${file(`${program}.log`)}`];
    netns.start(join(PROGRAMS, program), [...paths, ...sockets, ...others], { stdio: 'ignore' });
  };
  const vtysh = (...commands: readonly string[]) => {
    const words = commands.flatMap((command) => ['-c', command]);
    return netns.run('vtysh', '--vty_socket', directory, ...words);
  };
  start('zebra', '');
  await until('zebra answers', () => vtysh('show version'));
  start('bgpd', config);
  await until('bgpd answers', () => vtysh('show bgp summary json').startsWith('{'));
  return {
    // The caller names the shape it reads; a wrong one fails the test's own assertion.
    show: <T>(words: string) => JSON.parse(vtysh(`show ${words} json`)) as T,
    configure: (lines) => void vtysh('configure terminal', ...lines),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
