/**
 * Random policies, pods and labels that change step by step: after each step packets go where the evaluator
 * says. POLICY_ROUNDS and POLICY_SEED make it longer and repeat it.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PolicyDice } from '../support/policy-dice.ts';
import { createEnforcedLab, type EnforcedLab } from '../support/policy-enforced-lab.ts';

const ROUNDS = Number(process.env['POLICY_ROUNDS'] ?? 12);
const SEED = Number(process.env['POLICY_SEED'] ?? Date.now() % 1_000_000);
const MS_PER_ROUND = 5000;

let lab: EnforcedLab;

beforeAll(async () => {
  lab = await createEnforcedLab({
    pods: [
      ['x/a', 'x/b', 'y/a'],
      ['y/b', 'z/a'],
    ],
    ports: [80, 81],
  });
});

afterAll(() => lab?.remove());

test(
  `evaluator = packets, ${ROUNDS} rounds from seed ${SEED}`,
  async () => {
    const { cluster } = lab;
    const dice = new PolicyDice(SEED, lab);
    dice.fill(cluster);
    cluster.setSynced();
    let allowed = 0;
    let asked = 0;
    for (let round = 1; round <= ROUNDS; round += 1) {
      cluster.commit();
      const found = await lab.differences();
      const where = `seed ${SEED}, round ${round}`;
      expect([where, ...found, ...(found.length > 0 ? [cluster.policies()] : [])]).toEqual([where]);
      const everything = lab.everything();
      asked += everything.length;
      allowed += everything.filter((question) => cluster.isAllowed(question)).length;
      dice.change(cluster);
    }
    // Neither answer is always right.
    expect(allowed / asked).toBeGreaterThan(0.1);
    expect(allowed / asked).toBeLessThan(0.95);
  },
  ROUNDS * MS_PER_ROUND + 60_000,
);
