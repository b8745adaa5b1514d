import { expect, test } from 'vitest';
import type { NodePlan } from '../../../../src/cni/node-plan.ts';
import { guardsOf } from '../../../../src/cni/upkeep/tables.ts';
import { parseMac } from '../../../../src/net/mac.ts';
import { type HealingConnection, healTable } from '../../../../src/nftables/heal-table.ts';
import { WeftError } from '../../../../src/util/errors.ts';

const plan: NodePlan = {
  label: 'net1/one/eth0',
  // Guards are made of the host's end alone.
  bridge: {} as NodePlan['bridge'],
  host: {
    name: 'veth00000001',
    allowedMac: parseMac('02:00:00:00:00:01'),
  } as NodePlan['host'],
  forwarding: [],
  masquerade: [],
};

/** An empty ruleset that refuses what was decided before its last change. */
class Ruleset implements HealingConnection {
  committed = 0;
  #generation = 1;

  changeByOthers(): void {
    this.#generation += 1;
  }

  readonly generation = () => this.#generation;
  readonly tables = () => [];
  readonly chains = () => [];
  readonly sets = () => [];
  readonly damagedChains = () => [];
  readonly otherObjects = () => [];
  readonly elements = () => [];
  readonly commit: HealingConnection['commit'] = (_transaction, { generation } = {}) => {
    if (generation !== this.#generation) throw new WeftError('ERESTART', 'changed');
    this.committed += 1;
  };
}

test('a pod that goes after the look at the records is not brought back', () => {
  const ruleset = new Ruleset();
  const living = [plan];
  const healed = healTable(ruleset, () => {
    const wanted = guardsOf(living);
    // The DEL of another process: record and elements go.
    if (living.pop() !== undefined) ruleset.changeByOthers();
    return wanted;
  });
  expect({ healed, committed: ruleset.committed }).toEqual({ healed: undefined, committed: 0 });
});

test('changes of others are no reason to give up', () => {
  const ruleset = new Ruleset();
  let changes = 3;
  const healed = healTable(ruleset, () => {
    if (changes > 0) ruleset.changeByOthers();
    changes -= 1;
    return guardsOf([plan]);
  });
  expect(healed?.definition.table.name).toBe('weft-spoof');
  expect(ruleset.committed).toBe(1);
});

test('one that changes all the time is left for the next repair', () => {
  const ruleset = new Ruleset();
  const wanted = () => {
    ruleset.changeByOthers();
    return guardsOf([plan]);
  };
  expect(() => healTable(ruleset, wanted)).toThrow('changes faster than it can be repaired');
});
