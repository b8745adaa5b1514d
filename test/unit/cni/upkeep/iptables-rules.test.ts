import { beforeEach, describe, expect, test } from 'vitest';
import { masqueradeChain } from '../../../../src/cni/iptables/chains.ts';
import type { IptablesMasquerade } from '../../../../src/cni/node-plan.ts';
import { healRules, type RulesToHeal } from '../../../../src/cni/upkeep/iptables-rules.ts';
import { masqueradesOf } from '../../../../src/cni/upkeep/rules-upkeep.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { planOf, recordOf } from './builders.ts';
import { FakeNat } from './fake-nat.ts';

const subnet = parseCidr('10.0.0.0/24');

function masqueradeOf(containerId: string, ...addresses: string[]): IptablesMasquerade {
  const entries = addresses.map((address) => ({ address: parseIP(address), subnet }));
  return { owner: { network: 'net', containerId }, entries };
}

const one = masqueradeOf('one', '10.0.0.2');
const two = masqueradeOf('two', '10.0.0.3');
const chain = masqueradeChain(one.owner);

let nat: FakeNat;
let living: IptablesMasquerade[];
let busy: ReadonlySet<string>;
let pauses: number;
let onPause: () => void;

beforeEach(() => {
  nat = new FakeNat();
  living = [one, two];
  busy = new Set();
  pauses = 0;
  onPause = () => undefined;
});

function heal(): ReturnType<typeof healRules> {
  const rules: RulesToHeal = {
    programs: nat.programs,
    family: 4,
    wanted: () => living.filter(({ owner }) => !busy.has(owner.containerId)),
    isBusy: ({ containerId }) => busy.has(containerId),
    pause: async () => {
      pauses += 1;
      onPause();
    },
  };
  return healRules(rules);
}

/** Does something after so many listings, once. */
function afterSave(count: number, job: () => void): void {
  nat.onSave = () => {
    if (nat.saves === count) job();
  };
}

/** The rules of all that live, as ADDs have made them. */
async function made(): Promise<string> {
  await heal();
  nat.restored.length = 0;
  nat.saves = 0;
  return nat.text();
}

function removeRules(containerId: string): void {
  const gone = masqueradeChain({ network: 'net', containerId });
  if (!nat.chainNames.includes(gone)) return;
  const ways = nat.rules().filter((rule) => rule.endsWith(`-j ${gone}`));
  nat.apply(...ways.map((rule) => rule.replace('-A', '-D')), `-F ${gone}`, `-X ${gone}`);
}

/** The DEL of another process. */
function deletePod(containerId: string): void {
  living = living.filter(({ owner }) => owner.containerId !== containerId);
  removeRules(containerId);
}

const ruleOf = (rules: readonly string[], containerId: string) =>
  rules.filter((rule) => rule.includes(`id: \\"${containerId}\\"`));

describe('what is missing comes back', () => {
  test('nothing is changed while nothing is missing, after one listing', async () => {
    await made();
    expect(await heal()).toEqual([]);
    expect([nat.saves, nat.restored]).toEqual([1, []]);
  });

  test.each([
    { what: 'all rules', take: () => nat.flush() },
    { what: 'the way to one chain', take: () => nat.apply(wayOf('-D')) },
    { what: 'the first rule of a chain', take: () => nat.apply(firstOf('-D')) },
    { what: 'one chain', take: () => removeRules('one') },
  ])('$what', async ({ take }) => {
    nat.apply('-N OTHER', '-A OTHER -j RETURN', '-A POSTROUTING -j OTHER');
    const before = await made();
    take();
    if (!nat.rules().includes('-A OTHER -j RETURN')) nat.apply('-A OTHER -j RETURN');
    expect(await heal()).toContainEqual(one.owner);
    const sorted = (text: string) => text.split('\n').toSorted();
    const others = (text: string) => sorted(text).filter((line) => !line.endsWith('-j OTHER'));
    expect(others(nat.text())).toEqual(others(before));
    // Its order counts.
    expect(nat.rules().filter((rule) => rule.startsWith(`-A ${chain} `))).toEqual([
      expect.stringMatching(/-d 10\.0\.0\.0\/24 .* -j ACCEPT$/),
      expect.stringMatching(/! -d 224\.0\.0\.0\/4 .* -j MASQUERADE$/),
    ]);
  });

  const wayOf = (command: string) =>
    (nat.rules().find((rule) => rule.endsWith(`-j ${chain}`)) ?? '').replace('-A', command);
  const firstOf = (command: string) =>
    (nat.rules().find((rule) => rule.startsWith(`-A ${chain} `)) ?? '').replace('-A', command);
});

describe('others go on meanwhile', () => {
  test('a DEL between listing and restore: nothing of it comes back', async () => {
    await made();
    nat.wipe();
    afterSave(1, () => deletePod('one'));
    await heal();
    expect(nat.restored[0]).toContain('id: \\"one\\"');
    expect(ruleOf(nat.rules(), 'one')).toEqual([]);
    expect(nat.chainNames).not.toContain(chain);
    expect(ruleOf(nat.rules(), 'two')).toHaveLength(3);
  });

  test('a DEL that has removed the rules and not yet ended is waited for', async () => {
    await made();
    nat.wipe();
    // Its look at the rules is behind it: it finds none of what is restored.
    afterSave(1, () => {
      busy = new Set(['one']);
    });
    onPause = () => {
      if (pauses < 3) return;
      busy = new Set();
      living = [two];
    };
    await heal();
    expect(pauses).toBe(3);
    expect(nat.restored[0]).toContain('id: \\"one\\"');
    expect(ruleOf(nat.rules(), 'one')).toEqual([]);
    expect(ruleOf(nat.rules(), 'two')).toHaveLength(3);
  });

  test('a DEL that does not end is left to its repetition', async () => {
    await made();
    nat.flush();
    afterSave(1, () => {
      busy = new Set(['one']);
    });
    await heal();
    expect(pauses).toBe(100);
    expect(ruleOf(nat.rules(), 'two')).toHaveLength(3);
  });

  test('an ADD that was faster: its rules are there once', async () => {
    const before = await made();
    removeRules('one');
    const rules = before.split('\n').filter((line) => line.includes('id: \\"one\\"'));
    const inOrder = [...rules.filter((rule) => rule.startsWith(`-A ${chain}`)), ...rules];
    afterSave(1, () => nat.apply(`-N ${chain}`, ...new Set(inOrder)));
    expect(await heal()).toEqual([]);
    expect(ruleOf(nat.rules(), 'one')).toHaveLength(3);
    expect(nat.restored).toEqual([]);
  });

  test('one of two interfaces goes: its way alone is taken back', async () => {
    living = [masqueradeOf('one', '10.0.0.2', '10.0.0.4')];
    await made();
    nat.flush();
    afterSave(1, () => {
      living = [one];
    });
    await heal();
    const ways = nat.rules().filter((rule) => rule.endsWith(`-j ${chain}`));
    expect(ways).toEqual([expect.stringContaining('-s 10.0.0.2/32 ')]);
  });

  test('one that is gone and comes again with its address has its rules', async () => {
    const before = await made();
    nat.wipe();
    afterSave(1, () => deletePod('one'));
    let restores = 0;
    nat.onRestore = () => {
      restores += 1;
      // The new ADD sees what is about to be taken back, and adds nothing.
      if (restores === 2) living = [one, two];
    };
    await heal();
    expect(nat.text().split('\n').toSorted()).toEqual(before.split('\n').toSorted());
  });
});

describe('it ends', () => {
  test('when the programs fail: with their error, after a second look', async () => {
    nat.onRestore = () => {
      throw new Error('the lock is not to be had');
    };
    await expect(heal()).rejects.toThrow('the lock is not to be had');
    expect(nat.saves).toBe(2);
  });

  test('when somebody flushes all the time', async () => {
    await made();
    nat.flush();
    nat.beforeSave = () => nat.flush();
    await expect(heal()).rejects.toThrow('iptables-restore: -D');
    expect(nat.saves).toBeLessThan(12);
  });

  test('when programs print rules in other words: nothing grows', async () => {
    nat.print = (rule) => rule.replace('-m comment', '-m  comment');
    await expect(heal()).rejects.toThrow('does not list the rules that it was given');
    const count = nat.rules().length;
    await expect(heal()).rejects.toThrow('does not list the rules that it was given');
    await expect(heal()).rejects.toThrow('does not list the rules that it was given');
    expect(nat.rules()).toHaveLength(count);
  });
});

test('containers of a table: by variant and family, interfaces of one together', () => {
  const record = (ifName: string, masquerade: IptablesMasquerade, variant?: 'nft' | 'legacy') => {
    const attachment = { ...masquerade.owner, ifName };
    const plan = { ...planOf(attachment), iptablesMasquerade: masquerade };
    const made = variant === undefined ? {} : { iptablesVariant: variant };
    return { ...recordOf(attachment), plan, ...made };
  };
  const records = [
    record('eth0', one, 'nft'),
    record('eth1', masqueradeOf('one', '10.0.0.4'), 'nft'),
    record('eth0', two, 'legacy'),
    record('eth0', masqueradeOf('unmade', '10.0.0.9')),
    recordOf({ network: 'net', containerId: 'other', ifName: 'eth0' }),
  ];
  const both = masqueradeOf('one', '10.0.0.2', '10.0.0.4');
  expect(masqueradesOf(records, { variant: 'nft', family: 4 })).toEqual([both]);
  expect(masqueradesOf(records, { variant: 'nft', family: 6 })).toEqual([]);
  expect(masqueradesOf(records, { variant: 'legacy', family: 4 })).toEqual([two]);
});
