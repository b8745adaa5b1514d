import { expect, test } from 'vitest';
import { neighbourhoodReader } from '../../../src/fabric/desired.ts';
import { changeSteps } from '../../../src/fabric/entries.ts';
import { Planner } from '../../../src/fabric/plan.ts';
import { ContentMaker } from '../../../src/fabric/table/content.ts';
import type { Steps } from '../../../src/util/turns.ts';
import { BENCH_SETTINGS, benchNodes } from '../../bench/fabric-nodes.ts';
import { fabricNode, underlayFacts } from '../../support/fabric-objects.ts';

const PEERS = 2_000;
/** CPU time: others that run beside do not count. */
const MOST_STEP_MS = 20;

/** Takes all steps; gives the result and the CPU time of the longest one. */
function measured<T>(steps: Steps<T>): { readonly result: T; readonly longestMs: number } {
  let longestMs = 0;
  for (;;) {
    const before = process.threadCpuUsage();
    const step = steps.next();
    const { user, system } = process.threadCpuUsage(before);
    longestMs = Math.max(longestMs, (user + system) / 1_000);
    if (step.done === true) return { result: step.value, longestMs };
  }
}

test('no step of a look at thousands of peers is long', () => {
  const nodes = new Map(
    [...benchNodes(PEERS)].map(({ metadata: { name }, spec, status }) => {
      const addresses = (status?.addresses ?? []).map(({ address }) => address);
      return [name, fabricNode(name, spec?.podCIDRs ?? [], addresses)];
    }),
  );
  const read = neighbourhoodReader();
  const hood = measured(read('node-0', nodes, underlayFacts(), BENCH_SETTINGS));
  const { peers, underlay } = hood.result;
  expect(peers).toHaveLength(PEERS);
  const tunnel = { link: 9, family: 4, hasIPv6: true } as const;
  const plan = measured(new Planner().steps({ backend: 'auto', peers, underlay, tunnel }));
  const changes = measured(changeSteps(new Map(), plan.result.entries));
  expect(changes.result).toHaveLength(4 * PEERS);
  const direct = peers.flatMap(({ podCIDRs }) => podCIDRs);
  const content = measured(
    new ContentMaker().steps({
      tunnel: undefined,
      podCIDRs: [],
      masquerade: { direct, families: [4, 6] },
    }),
  );
  for (const { longestMs } of [hood, plan, changes, content]) {
    expect(longestMs).toBeLessThan(MOST_STEP_MS);
  }
});
