/** The rules and sets of the IPVS mode in the kernel, which takes both without any IPVS. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { IptablesVariant } from '../../src/iptables/command.ts';
import { openIpSets } from '../../src/kernel/ipset.ts';
import type { IpSets } from '../../src/kernel/ipset-types.ts';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { IPFamily } from '../../src/net/ip.ts';
import { removeModeRules } from '../../src/proxy/modes/iptables/cleanup.ts';
import { detectPrograms } from '../../src/proxy/modes/iptables/detection.ts';
import { KernelRules } from '../../src/proxy/modes/iptables/kernel-rules.ts';
import { isIpvsChain } from '../../src/proxy/modes/ipvs/chain-names.ts';
import { KernelSets } from '../../src/proxy/modes/ipvs/kernel-sets.ts';
import { ipvsChains } from '../../src/proxy/modes/ipvs/rules.ts';
import {
  BESIDE_IPTABLES,
  BESIDE_IPVS,
  IPVS_CHAINS,
} from '../../src/proxy/modes/ipvs/rules-cleanup.ts';
import { planRules } from '../../src/proxy/modes/ipvs/rules-plan.ts';
import { SET_ROLES, setName } from '../../src/proxy/modes/ipvs/sets.ts';
import { FakeIpvsKernel } from '../support/fake-ipvs.ts';
import { enter, openSession, programPorts, VARIANTS } from '../support/iptables-lab.ts';
import { resolveAll } from '../support/iptables-objects.ts';
import { listedSettings, openIpvsSession } from '../support/ipvs-session.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';

const FAMILIES = [4, 6] as const;
const CASES = VARIANTS.flatMap((variant) => FAMILIES.map((family) => ({ variant, family })));

let node: TestNetns;
let netns: Netns;
let ipSets: IpSets;

beforeEach(() => {
  node = createNetns('ipvs-rules');
  netns = netnses.open(node.path);
  ipSets = openIpSets({ netns });
});

afterEach(() => {
  ipSets.close();
  netns.close();
  node.remove();
});

const settingsOf = (family: IPFamily) =>
  listedSettings(family, family === 4 ? '192.168.0.1' : 'fd00:192::1');

async function programsOf(variant: IptablesVariant, family: IPFamily) {
  const found = await detectPrograms([family], { variant, prefix: enter(node) });
  const programs = found.get(family);
  if (programs === undefined) throw new Error(`no programs for IPv${family}`);
  return programs;
}

/** Sets with everything that the Services of the golden files put into them, and the rules. */
async function program(variant: IptablesVariant, family: IPFamily): Promise<KernelRules> {
  const sets = new KernelSets(ipSets, family);
  await sets.ensure();
  const kernel = new FakeIpvsKernel();
  await programPorts(openIpvsSession(kernel), resolveAll(family), settingsOf(family));
  await sets.add([...kernel.entries.values()]);
  const rules = new KernelRules(await programsOf(variant, family), isIpvsChain);
  await rules.apply((await planOf(rules, family)).change);
  return rules;
}

async function planOf(rules: KernelRules, family: IPFamily) {
  const observed = await rules.observe();
  const chains = ipvsChains({ masqueradeBit: 14, settings: settingsOf(family) });
  return planRules(chains, rules, observed);
}

/** What a program lists of the proxy's, without counters. */
function kubeLines(variant: string, family: IPFamily): readonly string[] {
  const listing = node.run(`${family === 4 ? 'ip' : 'ip6'}tables-${variant}-save`);
  return listing.split('\n').filter((line) => line.includes('KUBE-'));
}

describe.each(CASES)('iptables-$variant, IPv$family', ({ variant, family }) => {
  test('what is written is listed as the same', async () => {
    const rules = await program(variant, family);
    expect(kubeLines(variant, family).length).toBeGreaterThan(50);
    expect(await rules.findDrift()).toEqual([]);
    const { change, isLast } = await planOf(rules, family);
    await rules.apply(change);
    const written = rules.counts.last;
    expect([written, change.guests, isLast]).toEqual([{ filter: 0, nat: 0, mangle: 0 }, [], false]);
  });

  test('a flush is noticed and mended', async () => {
    const rules = await program(variant, family);
    const before = kubeLines(variant, family).toSorted();
    const command = `${family === 4 ? 'ip' : 'ip6'}tables-${variant}`;
    for (const table of ['filter', 'nat', 'mangle']) node.run(command, '-t', table, '-F');
    expect((await rules.findDrift()).length).toBeGreaterThan(10);
    await rules.apply((await planOf(rules, family)).change);
    expect(kubeLines(variant, family).toSorted()).toEqual(before);
  });

  test('nothing of it is left, and sets can go', async () => {
    await program(variant, family);
    const programs = await programsOf(variant, family);
    expect(() => ipSets.destroy(setName('clusterIP', family))).toThrow(/use it/);
    expect(await removeModeRules(programs, IPVS_CHAINS)).toBe(true);
    expect(kubeLines(variant, family)).toEqual([]);
    for (const role of SET_ROLES) ipSets.destroy(setName(role, family));
    expect(ipSets.sets()).toEqual([]);
    expect(await removeModeRules(programs, IPVS_CHAINS)).toBe(false);
  });

  test('the iptables mode takes its place, and the other way around', async () => {
    const programs = await programsOf(variant, family);
    const startIptables = async () => {
      const rules = new KernelRules(programs);
      await programPorts(openSession(rules), resolveAll(family), settingsOf(family));
    };
    await startIptables();
    const iptables = kubeLines(variant, family).toSorted();
    await program(variant, family);
    await removeModeRules(programs, BESIDE_IPVS);
    const ipvs = kubeLines(variant, family).toSorted();
    const ofIptables = /KUBE-(SVC|SVL|SEP|EXT|FW)-[A-Z2-7]{16}|KUBE-(NODEPORTS|EXTERNAL-SERVICES)/;
    expect(ipvs.filter((line) => ofIptables.test(line))).toEqual([]);
    expect(await (await program(variant, family)).findDrift()).toEqual([]);
    await startIptables();
    await removeModeRules(programs, BESIDE_IPTABLES);
    expect(kubeLines(variant, family).toSorted()).toEqual(iptables);
  });
});
