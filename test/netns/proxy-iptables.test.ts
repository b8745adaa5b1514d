import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { restoreText } from '../../src/iptables/restore-text.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { sysctls } from '../../src/kernel/sysctls.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { removeServiceRules } from '../../src/proxy/modes/iptables/cleanup.ts';
import { detectPrograms } from '../../src/proxy/modes/iptables/detection.ts';
import { KernelRules } from '../../src/proxy/modes/iptables/kernel-rules.ts';
import { FakeIptables } from '../support/fake-iptables.ts';
import {
  enter,
  installedPrograms,
  kernelRules,
  listingOf,
  openSession,
  programAll,
  programPorts,
  settingsOf,
  VARIANTS,
} from '../support/iptables-lab.ts';
import { resolveAll } from '../support/iptables-objects.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { service, slice } from '../support/proxy-objects.ts';

const FAMILIES = [4, 6] as const;

let node: TestNetns;
let netns: Netns;

beforeEach(() => {
  node = createNetns('iptables');
  netns = netnses.open(node.path);
});

afterEach(() => {
  netns.close();
  node.remove();
});

/** A rule for everything that the proxy has rules for, and chains with names like its own. */
const FOREIGN = [
  '*filter',
  ':KUBE-FIREWALL - [0:0]',
  ':KUBE-NWPLCY-AAAAAAAAAAAAAAAA - [0:0]',
  '-A INPUT -j KUBE-FIREWALL',
  '-A FORWARD -j KUBE-NWPLCY-AAAAAAAAAAAAAAAA',
  '-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP',
  '-A KUBE-NWPLCY-AAAAAAAAAAAAAAAA -m comment --comment "to KUBE-SERVICES" -j RETURN',
  'COMMIT',
  '*nat',
  ':CNI-HOSTPORT-DNAT - [0:0]',
  ':KUBE-MARK-DROP - [0:0]',
  '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
  '-A OUTPUT -p tcp -m tcp --dport 1 -j RETURN',
  '-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000',
  'COMMIT',
  '*mangle',
  ':KUBE-KUBELET-CANARY - [0:0]',
  'COMMIT',
  '',
].join('\n');

function load(variant: string, family: 4 | 6, text: string): void {
  const program = `${family === 4 ? 'ip' : 'ip6'}tables-${variant}-restore`;
  node.run('sh', '-c', `${program} --noflush <<'END'\n${text}END`);
}

describe.each(VARIANTS)('iptables-%s', (variant) => {
  describe.each(FAMILIES)('IPv%i', (family) => {
    test('takes the whole text, and lists what was written', async () => {
      const rules = await kernelRules(node, variant, family);
      await programAll(rules, family);
      expect(await rules.findDrift()).toEqual([]);
      const fake = new FakeIptables();
      await programPorts(openSession(fake), resolveAll(family), settingsOf(family));
      const written =
        fake.applied
          .map(restoreText)
          .join('')
          .match(/^-A .*$/gm) ?? [];
      const listed = new Set(listingOf(node, variant, family).split('\n'));
      const exact = (line: string) => !line.includes('--probability');
      expect(written.filter(exact).filter((line) => !listed.has(line))).toEqual([]);
    });

    test('a second start finds everything as it should be', async () => {
      const rules = await kernelRules(node, variant, family);
      await programAll(rules, family);
      const { programs } = await kernelRules(node, variant, family);
      const writes: string[] = [];
      const restore = async (input: string) => {
        writes.push(input);
        await programs.restore(input);
      };
      const again = new KernelRules({ ...programs, restore });
      await programPorts(openSession(again), resolveAll(family), settingsOf(family));
      expect(writes).toEqual([]);
    });

    test('leaves what others have, and removes all of its own', async () => {
      load(variant, family, FOREIGN);
      const before = listingOf(node, variant, family);
      const rules = await kernelRules(node, variant, family);
      await programAll(rules, family);
      const during = new Set(listingOf(node, variant, family).split('\n'));
      expect(before.split('\n').filter((line) => !during.has(line))).toEqual([]);
      const removeAll = async () => {
        const programs = await installedPrograms([family], enter(node));
        return Promise.all(programs.map(removeServiceRules));
      };
      expect((await removeAll()).filter((found) => found)).toHaveLength(1);
      expect(listingOf(node, variant, family)).toBe(before);
      expect(await removeAll()).not.toContain(true);
    });

    test('replaces what another proxy left', async () => {
      const left = [
        ...['*nat', ':KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]', ':KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]'],
        ...[':KUBE-SERVICES - [0:0]', '-A KUBE-SERVICES -j KUBE-SVC-AAAAAAAAAAAAAAAA'],
        '-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-AAAAAAAAAAAAAAAA',
        ...['-A PREROUTING -j KUBE-SERVICES', 'COMMIT', ''],
      ].join('\n');
      load(variant, family, left);
      const session = openSession(await kernelRules(node, variant, family));
      await programPorts(session, resolveAll(family), settingsOf(family));
      const failures: unknown[] = [];
      for (const now of [0, 10_000]) {
        await session.removeIdle(now, (_, error) => failures.push(error));
      }
      expect(failures).toEqual([]);
      expect(listingOf(node, variant, family)).not.toContain('AAAAAAAAAAAAAAAA');
    });

    test('keeps a chain that a rule of somebody else leads to, and only that', async () => {
      const names = ['A', 'B', 'C'].map((letter) => `KUBE-SEP-${letter.repeat(16)}`);
      const [, used = ''] = names;
      const declared = [...names, 'SOMEBODY'].map((name) => `:${name} - [0:0]`);
      load(
        variant,
        family,
        ['*nat', ...declared, `-A SOMEBODY -j ${used}`, 'COMMIT', ''].join('\n'),
      );
      const session = openSession(await kernelRules(node, variant, family));
      await programPorts(session, resolveAll(family), settingsOf(family));
      const failures: string[] = [];
      for (const now of [0, 10_000]) {
        await session.removeIdle(now, (chain) => failures.push(chain));
      }
      expect(failures).toEqual([used]);
      const listing = listingOf(node, variant, family);
      expect(names.filter((name) => listing.includes(`:${name} `))).toEqual([used]);
      expect(listing).toContain(`-A SOMEBODY -j ${used}`);
    });
  });

  test.each([
    ['ipv4', 4],
    ['ipv6', 6],
    ['listed-addresses-by-bridge', 4],
    ['two-networks', 4],
    ['masquerade-all', 6],
  ] as const)('takes the golden file %s', (name, family) => {
    const path = new URL(`../golden/proxy-iptables/${name}.rules`, import.meta.url).pathname;
    const program = `${family === 4 ? 'ip' : 'ip6'}tables-${variant}-restore`;
    node.run('sh', '-c', `${program} --noflush --test < ${path}`);
  });

  test('takes and removes more chains than one run of the program does', async () => {
    const numbers = Array.from({ length: 400 }, (_, i) => i);
    const services = resolveAll(
      4,
      numbers.map((i) => service(`s${i}`, `172.30.${i >> 8}.${i & 255}`)),
      numbers.map((i) =>
        slice({
          service: `s${i}`,
          endpoints: [1, 2, 3].map((n) => `10.${n}.${i >> 8}.${i & 255}`),
        }),
      ),
    );
    const rules = await kernelRules(node, variant, 4);
    const session = openSession(rules);
    await programPorts(session, services, settingsOf(4));
    expect(await rules.findDrift()).toEqual([]);
    const endpoints = () => listingOf(node, variant, 4).match(/^:KUBE-SEP-/gm)?.length ?? 0;
    expect(endpoints()).toBe(1200);
    await session.program(
      settingsOf(4),
      [...services.keys()].map((key) => [key]),
      () => [],
    );
    for (const now of [0, 10_000]) {
      await session.removeIdle(now, (chain, error) => {
        throw new Error(chain, { cause: error });
      });
    }
    expect(endpoints()).toBe(0);
    expect(listingOf(node, variant, 4)).not.toMatch(/KUBE-SVC-/);
  });

  test('waits for others that hold the lock', async () => {
    const rules = await kernelRules(node, variant, 4);
    const holder = node.start('flock', ['/run/xtables.lock', 'sh', '-c', 'echo held; sleep 1']);
    if (holder.stdout === null) throw new Error('no output');
    const ended = once(holder, 'close');
    await once(holder.stdout, 'data');
    const startedAt = performance.now();
    await programAll(rules, 4);
    const waitedMs = performance.now() - startedAt;
    expect(await rules.findDrift()).toEqual([]);
    // The nft variant needs no lock: its transactions are the kernel's.
    if (variant === 'legacy') expect(waitedMs).toBeGreaterThan(700);
    await ended;
  });

  test('says which line it does not take', async () => {
    const rules = await kernelRules(node, variant, 4);
    const bad = '-j NO-SUCH-CHAIN';
    const change = { chains: [{ table: 'nat', name: 'KUBE-SERVICES', rules: [bad] }] } as const;
    await expect(rules.apply(change)).rejects.toThrow(
      /^iptables-(nft|legacy)-restore: .*NO-SUCH-CHAIN.* line: \d+/,
    );
    expect(listingOf(node, variant, 4)).not.toContain('KUBE-SERVICES');
  });

  test('is the variant found where it has the rules of a proxy', async () => {
    await programAll(await kernelRules(node, variant, 4), 4);
    const programs = await detectPrograms([4, 6], { prefix: enter(node) });
    expect([...programs.values()].map((found) => found.variant)).toEqual([variant, variant]);
  });

  test('loopback NodePorts are guarded before they are routed', async () => {
    const path = 'net/ipv4/conf/all/route_localnet';
    const session = openSession(await kernelRules(node, variant, 4), {
      hasLoopbackNodePorts: true,
      routeLoopback: () => {
        expect(listingOf(node, variant, 4)).toContain('! -s 127.0.0.0/8 -d 127.0.0.0/8');
        sysctls.write(netns, path, '1');
      },
    });
    await programPorts(session, resolveAll(4), settingsOf(4));
    expect(sysctls.read(netns, path)).toBe('1');
  });
});
