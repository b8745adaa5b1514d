import { beforeEach, describe, expect, test } from 'vitest';
import { parseListing } from '../../../../../src/iptables/listing.ts';
import { restoreText } from '../../../../../src/iptables/restore-text.ts';
import { type ModeChains, removal } from '../../../../../src/proxy/modes/iptables/cleanup.ts';
import {
  BESIDE_IPTABLES,
  BESIDE_IPVS,
  IPVS_CHAINS,
} from '../../../../../src/proxy/modes/ipvs/rules-cleanup.ts';
import { FakeIptables } from '../../../../support/fake-iptables.ts';
import { FakeIpvsKernel } from '../../../../support/fake-ipvs.ts';
import { openSession, programPorts } from '../../../../support/iptables-lab.ts';
import { resolveAll } from '../../../../support/iptables-objects.ts';
import { listedSettings, openIpvsSession } from '../../../../support/ipvs-session.ts';

const SETTINGS = listedSettings(4, '192.168.0.1');
const FOREIGN = `*nat
:PREROUTING ACCEPT [0:0]
:THEIRS - [0:0]
:KUBE-ROUTER-X - [0:0]
-A PREROUTING -j THEIRS
-A PREROUTING -j KUBE-ROUTER-X
COMMIT
`;

let ipvs: string;
let iptables: string;

beforeEach(async () => {
  const kernel = new FakeIpvsKernel();
  await programPorts(openIpvsSession(kernel), resolveAll(4), SETTINGS);
  ipvs = kernel.rules.applied.map(restoreText).join('');
  const rules = new FakeIptables();
  await programPorts(openSession(rules), resolveAll(4), SETTINGS);
  iptables = rules.applied.map(restoreText).join('');
});

/** The texts of restores as a listing of all of them; of chains that several have, the last one. */
function listed(...texts: readonly string[]) {
  const chains = new Map<string, readonly string[]>();
  const guests: string[] = [];
  for (const text of texts) {
    for (const [table, part = ''] of tablesOf(text)) {
      for (const [, name = ''] of part.matchAll(/^:(\S+)/gm)) {
        const own = [...part.matchAll(/^-A (\S+) .*$/gm)].filter(([, chain]) => chain === name);
        chains.set(
          `${table} ${name}`,
          own.map(([line]) => line),
        );
      }
      for (const [, rule = ''] of part.matchAll(/^-I (.*)$/gm)) guests.push(`${table} -A ${rule}`);
    }
  }
  const lines = (table: string) => {
    const mine = [...chains].filter(([key]) => key.startsWith(`${table} `));
    const jumps = [...new Set(guests.filter((guest) => guest.startsWith(`${table} `)))];
    return [
      `*${table}`,
      ...['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'].map((name) => `:${name} A`),
      ...mine.map(([key]) => `:${key.split(' ')[1]} -`),
      ...mine.flatMap(([, rules]) => rules),
      ...jumps.map((guest) => guest.slice(table.length + 1)),
      'COMMIT',
    ];
  };
  return parseListing(['filter', 'nat', 'mangle'].flatMap(lines).join('\n'));
}

function tablesOf(text: string) {
  return [...text.matchAll(/^\*(\w+)\n([\s\S]*?)^COMMIT$/gm)].map(
    ([, table = '', part]) => [table, part] as const,
  );
}

/** Chains, and jumps as `nat PREROUTING KUBE-SERVICES`, that go. */
function removed(chains: ModeChains, ...texts: readonly string[]): ReadonlySet<string> {
  const { removedChains = [], removedGuests = [] } = removal(listed(...texts), chains);
  return new Set([
    ...removedChains.map(({ table, name }) => `${table} ${name}`),
    ...removedGuests.map(({ table, chain, rule }) => `${table} ${chain} ${rule.split(' ').at(-1)}`),
  ]);
}

/** All chains and jumps that a mode makes. */
function made(text: string): ReadonlySet<string> {
  return new Set(
    tablesOf(text).flatMap(([table, part = '']) => [
      ...Array.from(part.matchAll(/^:(\S+)/gm), ([, name]) => `${table} ${name}`),
      ...Array.from(
        part.matchAll(/^-I (\S+) .* (\S+)$/gm),
        ([, chain, target]) => `${table} ${chain} ${target}`,
      ),
    ]),
  );
}

function without(all: ReadonlySet<string>, others: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...all].filter((each) => !others.has(each)));
}

describe('what goes', () => {
  test('with nothing in its place is all of it, and nothing of others', () => {
    expect(removed(IPVS_CHAINS, ipvs, FOREIGN)).toEqual(made(ipvs));
  });

  test('of the iptables mode beside ours is what only that has', () => {
    const only = without(made(iptables), made(ipvs));
    expect(removed(BESIDE_IPVS, iptables, ipvs, FOREIGN)).toEqual(only);
    expect(only).toContain('filter INPUT KUBE-EXTERNAL-SERVICES');
    expect(only).not.toContain('nat KUBE-SERVICES');
  });

  test('of ours beside the iptables mode is what only ours has', () => {
    const only = without(made(ipvs), made(iptables));
    expect(removed(BESIDE_IPTABLES, ipvs, iptables, FOREIGN)).toEqual(only);
    expect(only).toContain('mangle OUTPUT KUBE-PROXY-FIREWALL');
    expect(only).not.toContain('nat KUBE-POSTROUTING');
  });
});
