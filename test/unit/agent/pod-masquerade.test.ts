import { expect, test } from 'vitest';
import { PodMasquerade } from '../../../src/agent/pod-masquerade.ts';
import type { FabricTableFacts } from '../../../src/fabric/table/facts.ts';
import { containsIP, parseCidr } from '../../../src/net/cidr.ts';
import { parseIP } from '../../../src/net/ip.ts';

const POD = parseIP('10.244.1.7');
const POD6 = parseIP('fd00:244:1::7');

function facts(...families: readonly (4 | 6)[]): FabricTableFacts {
  const podCIDRs = ['10.244.1.0/24', 'fd00:244:1::/64'].map(parseCidr);
  const masquerade = families.length === 0 ? undefined : { direct: [], families };
  return { tunnel: undefined, podCIDRs, masquerade };
}

/** Notes in which order table and ipMasq act, and for which of the two pods ipMasq is there. */
function setUp(isServed = false) {
  const steps: string[] = [];
  const masquerade = new PodMasquerade((address) => {
    return isServed && containsIP(parseCidr('10.244.1.0/24'), address);
  });
  const state = { fails: false };
  const table = {
    sync: ({ masquerade: wanted }: FabricTableFacts) => {
      if (state.fails) throw new Error('refused');
      steps.push(`table ${wanted?.families.join() ?? 'none'}`);
      return true;
    },
    remove: () => void steps.push('table removed'),
  };
  masquerade.serve({
    settleMasquerade: () => {
      const own = [POD, POD6].filter((address) => !masquerade.isFabrics(address));
      steps.push(`ipMasq ${own.join()}`);
    },
  });
  const stepsOf = (act: () => void) => {
    steps.length = 0;
    act();
    return [...steps];
  };
  return { masquerade, table, state, stepsOf };
}

test('ipMasq leaves when the table serves, and is there before it ceases to', () => {
  const { masquerade, table, stepsOf } = setUp();
  const sync = (...families: readonly (4 | 6)[]) =>
    stepsOf(() => masquerade.sync(table, facts(...families)));
  expect(sync(4, 6)).toEqual([`ipMasq ${POD},${POD6}`, 'table 4,6', 'ipMasq ']);
  expect(sync(4, 6)).toEqual(['table 4,6']);
  expect(sync(4)).toEqual([`ipMasq ${POD6}`, 'table 4', `ipMasq ${POD6}`]);
  expect(sync(6)).toEqual([`ipMasq ${POD},${POD6}`, 'table 6', `ipMasq ${POD}`]);
  expect(sync()).toEqual([`ipMasq ${POD},${POD6}`, 'table none', `ipMasq ${POD},${POD6}`]);
  sync(4, 6);
  expect(stepsOf(() => masquerade.remove(table))).toEqual([
    `ipMasq ${POD},${POD6}`,
    'table removed',
  ]);
});

test('what a former agent has left serves from the beginning', () => {
  const { masquerade, table, stepsOf } = setUp(true);
  expect(masquerade.isFabrics(POD)).toBe(true);
  expect(masquerade.isFabrics(POD6)).toBe(false);
  const steps = stepsOf(() => masquerade.sync(table, facts(4, 6)));
  expect(steps).toEqual([`ipMasq ${POD6}`, 'table 4,6', 'ipMasq ']);
});

test('a table that fails leaves to ipMasq what it may have ceased to do', () => {
  const { masquerade, table, state, stepsOf } = setUp();
  masquerade.sync(table, facts(4, 6));
  state.fails = true;
  expect(() => masquerade.sync(table, facts(4))).toThrow('refused');
  expect(masquerade.isFabrics(POD)).toBe(true);
  expect(masquerade.isFabrics(POD6)).toBe(false);
  state.fails = false;
  const steps = stepsOf(() => masquerade.sync(table, facts(4, 6)));
  expect(steps).toEqual([`ipMasq ${POD6}`, 'table 4,6', 'ipMasq ']);
});
