import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAgent } from '../support/runtime/agent.ts';
import { Containerd } from '../support/runtime/containerd.ts';
import { nothing } from '../support/runtime/footprint.ts';
import { network, referencePlugins, weftAs } from '../support/runtime/networks.ts';

const rounds = 10;

let containerd: Containerd;

beforeAll(async () => {
  containerd = await Containerd.start();
  containerd.node.installPlugins({ ...referencePlugins, ...weftAs('weft') });
});
afterAll(() => containerd?.remove());

/** Both kinds in turn, so that what else the machine does hits both. */
test('RunPodSandbox and StopPodSandbox take no longer than with the reference plugins', async () => {
  const { cri, node } = containerd;
  await startAgent(node);
  const kinds = [
    { type: 'weft', subnets: ['10.60.0.0/24', 'fd00:10:60::/64'] },
    { type: 'bridge', subnets: ['10.61.0.0/24', 'fd00:10:61::/64'] },
  ] as const;
  const times = { weft: { run: [], stop: [] }, bridge: { run: [], stop: [] } } as Record<
    'weft' | 'bridge',
    Record<'run' | 'stop', number[]>
  >;
  for (let round = 0; round < rounds; round++) {
    for (const { type, subnets } of kinds) {
      await containerd.useNetwork(network({ name: `lat-${type}`, type, subnets }));
      const started = performance.now();
      const id = await cri.runPodSandbox(containerd.sandboxConfig(`${type}-${round}`));
      times[type].run.push(performance.now() - started);
      const stopping = performance.now();
      await cri.stopPodSandbox(id);
      times[type].stop.push(performance.now() - stopping);
      await cri.removePodSandbox(id);
    }
  }
  expect(node.footprint()).toEqual(nothing);
  for (const verb of ['run', 'stop'] as const) {
    const [weft, reference] = [median(times.weft[verb]), median(times.bridge[verb])];
    // Most of the time is the runtime's own, so a busy machine blurs the difference.
    expect.soft(weft).toBeLessThan(reference * 1.1);
    console.log(
      `${verb}PodSandbox, dual stack with masquerade, median of ${rounds}: ` +
        `weft ${weft.toFixed(0)} ms, reference plugins ${reference.toFixed(0)} ms`,
    );
  }
}, 120_000);

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2;
}
